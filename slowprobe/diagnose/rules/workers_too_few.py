"""A DataLoader has workers, but too few: they make batches more slowly than the steps use them up.

What it is: num_workers is 1 or more, the workers are at work all the time, and the loop still waits for most batches
while cores are idle.

Why it is slow: the loop can be no faster than its batches are made; each further worker adds to that rate until the
step is the slower side, or the cores are all at work.

How it is seen: the mean time of making a batch, over the number of workers, against the mean step; the CPU time of
both against the cores of this rank. The recorded batches are replayed with every number of workers that is worth
trying (cores shared, queue and hand-over included), and the smallest within 2 % of the best is recommended.

Stays quiet when: the steps wait for less than 5 % of loop time; batches are made fast enough on average (then see
prefetch-shallow and head-of-line); shards are uneven (worker-imbalance), or each worker makes all batches
(iterable-unsharded); no core is left for another worker, or the replay gains nothing from one (then making a batch must
become cheaper). It does not judge where other programs keep the cores busy and take them from the workers.

Fix: DataLoader(..., num_workers=n).

Sources: PyTorch documentation of DataLoader (num_workers); Plumber (bottleneck stage at its resource limit); Lotus
(beyond some 20 workers contention cancels the gain).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import place, set_arguments
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._same_batches import divide_first, unsharded
from slowprobe.diagnose.rules._supply import Supply, cores_used, has_room, judged
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Reload

MIN_SLOWED = 0.2  # of making batches; less is the ordinary taking of turns on a machine with other processes

RULE = Rule(
    title="The DataLoader has too few workers",
    bottleneck="input",
    needs=(
        *("loaders", "partition", "loader_models", "input_curves", "replay", "cores_per_rank", "neighbours", "source"),
        "receiving",
    ),
    before=("slow-transform",),
)


def check(run: Evidence) -> Answer:
    """Find loaders whose workers cannot keep up, where more of them would."""
    return judged(run, _judge)


def _judge(run: Evidence, supply: Supply) -> Diagnosis | Passed | NotChecked:
    loader = supply.loader
    if supply.uneven:
        return Passed("the workers' shards differ in size, which more workers do not mend: see worker-imbalance")
    if unsharded(loader):
        return Passed("each worker makes all batches, and more workers more of the same: see iterable-unsharded")
    if supply.suffices:
        return Passed(
            f"{loader.num_workers} workers make a batch every {supply.period_s * 1000:.1f} ms, often enough for steps "
            f"of {supply.step_s * 1000:.1f} ms"
        )
    curve, model = run.input_curves.get(loader.id), run.loader_models.get(loader.id)
    if curve is None or model is None:
        return NotChecked("how batches are made was not recorded")
    if run.neighbours is not None and run.neighbours.in_the_way and _displaced(loader):
        return NotChecked("other programs took the cores: what a batch costs without them is not known")
    taking_s = run.receiving.get(loader.id, 0.0)
    used = cores_used(model, supply, taking_s)
    if not has_room(run, model, supply, taking_s):
        return Passed(f"{used:.1f} of {run.cores_per_rank:.1f} cores are at work: none is left for another worker")
    change = Reload(loader.id, curve.recommended)
    if curve.recommended <= loader.num_workers or run.replay.outlook([change]).saved_s <= 0:
        return Passed(f"more than {loader.num_workers} workers would gain nothing: the limit is the {curve.limit}")
    return _diagnosis(run, supply, used, change, curve.limit)


def _displaced(loader: LoaderFacts) -> bool:
    """Whether workers were off the CPU for want of a core more than to wait for something.

    By the kernel's count of that time; where it does not count, by how often a core was taken from them.
    """
    delay_s, off_cpu_s = loader.making.run_delay_s, loader.making.io_wait_s
    if delay_s is not None and off_cpu_s is not None:
        return delay_s > 0.5 * off_cpu_s and _slowed(loader)
    seen = [w for w in loader.making.workers if w.involuntary_switches is not None and w.voluntary_switches is not None]
    taken = sum(worker.involuntary_switches or 0 for worker in seen)
    return taken > sum(worker.voluntary_switches or 0 for worker in seen)


def _slowed(loader: LoaderFacts) -> bool:
    """Whether that made batches dearer by more than what a longer queue or one more worker mends."""
    off_cpu_s, made_s = loader.making.io_wait_s or 0.0, (loader.fetch_s or 0.0) + (loader.collate_s or 0.0)
    return off_cpu_s > MIN_SLOWED * made_s


def _diagnosis(run: Evidence, supply: Supply, used: float, change: Reload, limit: str) -> Diagnosis:
    loader, workers = supply.loader, change.num_workers
    present = f"{loader.num_workers} workers need" if loader.num_workers > 1 else "One worker needs"
    return Diagnosis(
        summary=(
            f"{present} {supply.period_s * 1000:.1f} ms for a batch, the step "
            f"{supply.step_s * 1000:.1f} ms: the loop waits for {supply.wait_share:.0%} of its time, while "
            f"{max(0.0, run.cores_per_rank - used):.1f} of {run.cores_per_rank:.1f} cores are idle."
        ),
        where=place(loader.where),
        fix=Fix(
            text=f"Give the DataLoader {workers} workers instead of {loader.num_workers}.{divide_first(run, loader)}",
            diff=set_arguments(run.source, loader.where, loader.class_name, num_workers=str(workers)),
        ),
        changes=[change],
        evidence={
            "num_workers": loader.num_workers,
            "recommended num_workers": workers,
            "making one batch in one worker, ms": round((loader.make_s or 0.0) * 1000, 3),
            "a batch is made every, ms": round(supply.period_s * 1000, 3),
            "step without its wait, ms": round(supply.step_s * 1000, 3),
            "waiting, share of loop time": round(supply.wait_share, 4),
            "workers busy": "not recorded" if loader.making.busy_share is None else round(loader.making.busy_share, 3),
            "cores at work": round(used, 2),
            "cores": run.cores_per_rank,
            "limit with them": limit,
        },
    )
