"""Worker processes are stopped and started again for every pass over the loader.

What it is: a DataLoader with num_workers > 0 and persistent_workers=False ends its worker processes when a pass is over
and starts new ones for the next.

Why it is slow: starting workers is work the loop waits for: forking (or, with spawn, importing torch and unpickling the
dataset anew), and then the first batch, for which nothing was prefetched. Ending them is waited for too.

How it is seen: the time of DataLoader.__iter__, what the first wait of each pass is longer than making one batch takes,
and the time of the last request of each pass. The fix is replayed: all of it once instead of once a pass.

Stays quiet when: workers are persistent already, there was a single pass, passes are given up after one batch
(loader-recreated), or starting them takes less than 1 % of loop time (long passes, cheap forks).

Fix: DataLoader(..., persistent_workers=True).

Sources: PyTorch documentation of DataLoader (persistent_workers); measured on torch 2.13, two
workers on 2 busy cores, per pass, first batch included: forked 50-80 ms to start and 7-16 ms to stop, spawned 3-4 s and
1.7 s, kept 8-30 ms and 0.2 ms.
"""

from __future__ import annotations

from slowprobe.diagnose.edits import place, set_arguments
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.diagnose.rules._supply import given_up
from slowprobe.timeline.loader_model import starts_s
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import GONE, Change, Reload, Scale
from slowprobe.timeline.recording import KIND

MIN_SHARE = 0.01  # of loop time; below, starting workers is lost in the noise between epochs
KEPT_STOP_S = 0.0005  # the last request of a pass whose workers stay: measured 0.2 ms

RULE = Rule(
    title="Loader workers are started anew for every pass",
    bottleneck="input",
    needs=("loaders", "partition", "source"),
)


def check(run: Evidence) -> Answer:
    """Find loaders that pay for new workers pass after pass."""
    with_workers = [loader for loader in run.loaders if loader.num_workers > 0]
    if not with_workers:
        return NotApplicable("no DataLoader has worker processes")
    restarting = [loader for loader in with_workers if not loader.persistent_workers and loader.passes > 1]
    if not restarting:
        return Passed("workers are kept between passes, or there was one pass only")
    restarting = [loader for loader in restarting if not given_up(run.partition, loader)]
    if not restarting:
        return Passed("a new pass is begun for every batch: see loader-recreated")
    found = [diagnosis for loader in restarting if (diagnosis := _diagnose(run, loader)) is not None]
    return found or Passed(f"starting workers takes less than {MIN_SHARE:.0%} of loop time")


def _diagnose(run: Evidence, loader: LoaderFacts) -> Diagnosis | None:
    stops = _stops(run, loader)
    starting = starts_s(loader)
    stopping = sum(change.seconds for change in stops)
    spent = starting + stopping
    again = spent * (loader.passes - 1) / loader.passes
    if again < MIN_SHARE * run.partition.loop_s:
        return None
    changes: list[Change] = [Reload(loader.id, persistent_workers=True), *stops]
    return Diagnosis(
        summary=(
            f"The loader ends its {loader.num_workers} worker processes after each of {loader.passes} passes and "
            f"starts new ones: {spent / loader.passes * 1000:.0f} ms a pass, "
            f"{spent / run.partition.loop_s:.0%} of loop time."
        ),
        where=place(loader.where),
        fix=Fix(
            text="Keep the workers from one pass to the next.",
            diff=set_arguments(run.source, loader.where, loader.class_name, persistent_workers="True"),
        ),
        changes=changes,
        evidence={
            "passes": loader.passes,
            "num_workers": loader.num_workers,
            "start method": loader.start_method or "default",
            "starting workers, ms a pass": round(starting / loader.passes * 1000, 2),
            "stopping workers, ms a pass": round(stopping / loader.passes * 1000, 2),
            "share of loop time": round(spent / run.partition.loop_s, 4),
        },
    )


def _stops(run: Evidence, loader: LoaderFacts) -> list[Scale]:
    """The last requests of the passes, in which workers are joined."""
    by_label = run.partition.by_key.get((KIND["loader_end"], loader.id), {})
    kept = KEPT_STOP_S * loader.passes
    return [
        Scale(bucket, scope, seconds - kept, GONE)
        for (scope, bucket), seconds in by_label.items()
        if scope == "off_step" and seconds > kept
    ]
