"""Spawned workers take long to start: each begins a new interpreter and unpickles the dataset.

What it is: a loader whose workers are started with spawn or forkserver, and whose starts are a visible part of the
loop.

Why it is slow: a forked worker begins with everything in place, in 10 to 20 ms. A spawned one starts Python, imports
torch and the script again, and gets the dataset through a pipe, pickled: 1 to 4 s, and more for a large dataset, one
worker after the other.

How it is seen: the time from the iterator's beginning to the first batch that each worker begins, per start; the time
of ending workers after a last pass (each takes its copy of the dataset apart); the training thread's samples in
pickling. The fix is replayed: the same starts, by fork or without the pickled state.

Saving: a stated range. By fork, what forking takes for each worker remains: 17 ms to start it, 12 until it begins and 9
to end it, as measured; half of that at best, three times at worst. Where workers must be spawned, what the training
thread spent on pickling goes, doubled at best (each worker unpickles it again).

Stays quiet when: workers are forked, a start takes less than 0.2 s, starts after the first are what it costs and
keeping the workers mends that (worker-restart-each-epoch), or starting takes less than 1 % of loop time.

Fix: DataLoader(..., multiprocessing_context="fork") where no accelerator or thread is in use before; else keep big
state out of the dataset object: a path in __init__, the data opened on first use or in worker_init_fn; and the script's
work under if __name__ == "__main__".

Sources: Python documentation of multiprocessing (start methods; not fork by default from 3.14 on); PyTorch issue 12831.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from slowprobe.diagnose.edits import place, set_arguments
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import may_wait_for_device
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.timeline.loader_model import BOOT_S, FORK_S, STOP_S, starts_s
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Change, Factor, Scale
from slowprobe.timeline.recording import KIND

MIN_START_S = 0.2  # ten times what a forked worker needs
HEAVY = 0.2  # of a start; unpickling takes as long again in each worker, so that both are most of it
MIN_SHARE = 0.01  # of loop time; below, it is lost in the noise between epochs
FORKED = {"best": 0.5, "expected": 1.0, "worst": 3.0}  # of what forking was measured to take; a large process, longer
PICKLING = "multiprocessing/reduction.py"  # what comes after it, waiting at a full pipe, is the interpreter's start
IMPORTS = ("threading", "Thread(")  # a process with threads is not safe to fork

RULE = Rule(
    title="Spawned workers take long to start",
    bottleneck="input",
    needs=("loaders", "making_stacks", "partition", "source", "settings"),
)


def check(run: Evidence) -> Answer:
    """Find loaders whose workers are spawned at a price."""
    spawned = [loader for loader in run.loaders if loader.num_workers and _method(loader) in ("spawn", "forkserver")]
    if not any(loader.num_workers for loader in run.loaders):
        return NotApplicable("no DataLoader has worker processes")
    if not spawned:
        return NotApplicable("workers are forked")
    answers = [_diagnose(run, loader) for loader in spawned]
    found = [answer for answer in answers if isinstance(answer, Diagnosis)]
    return found or next(answer for answer in answers if not isinstance(answer, Diagnosis))


def _method(loader: LoaderFacts) -> str:
    return loader.making.context or loader.start_method or ""


def _diagnose(run: Evidence, loader: LoaderFacts) -> Diagnosis | Passed | NotChecked:
    startup = loader.making.startup
    if not len(startup):
        return NotChecked("when the workers began was not recorded")
    each = float(np.median(startup))
    if each < MIN_START_S:
        return Passed(f"a start of the workers takes {each:.2f} s")
    restarts = not loader.persistent_workers and loader.passes > 1
    # Starts after the first are gone once the workers are kept: they are worker-restart-each-epoch's.
    mine = 1 / loader.passes if restarts else 1.0
    waited = _waited(run, loader, mine)
    seconds = sum(change.seconds for change in waited)
    if seconds < MIN_SHARE * run.partition.loop_s:
        owner = "; the starts after the first are worker-restart-each-epoch's" if restarts else ""
        return Passed(f"the loop waits {seconds / run.partition.loop_s:.1%} of its time for starting workers{owner}")
    pickling, forks = _pickling_share(run, loader), _may_fork(run)
    remains = _by_fork(loader, seconds) if forks else Factor(max(0.0, 1 - 2 * pickling), 1 - pickling, 1.0)
    changes: list[Change] = [Scale(change.bucket, change.scope, change.seconds, remains) for change in waited]
    once = "" if restarts else ", once, however long the training"
    spawn = [worker.spawn_s for worker in loader.making.workers]
    return Diagnosis(
        summary=(
            f"The loop waits {seconds:.1f} s for {'the first start of ' if restarts else ''}"
            f"{loader.num_workers} worker{'s' if loader.num_workers > 1 else ''}{once}: "
            f"{_method(loader)} begins a new interpreter for each, {float(np.median(spawn)):.1f} s; pickling the "
            f"dataset takes {pickling:.0%} of a start."
        ),
        where=place(loader.where),
        fix=Fix(text=_advice(forks, pickling), diff=_diff(run, loader) if forks else ""),
        changes=changes,
        basis="stated range",
        evidence={
            "start method": _method(loader),
            "one start, s": round(each, 3),
            "starts": len(startup),
            "until a worker runs, s": round(float(np.median(spawn)), 3),
            "pickling, of a start": round(pickling, 3),
            "num_workers": loader.num_workers,
            "share of loop time": round(seconds / run.partition.loop_s, 4),
        },
    )


def _waited(run: Evidence, loader: LoaderFacts, part: float) -> list[Scale]:
    """The loop's seconds in starting iterators, in first waits and in ending the workers; of several starts, `part`."""
    begins = "epoch" if loader.role != "evaluation" else "evaluation"
    waits = "data_wait" if loader.role != "evaluation" else "evaluation"
    late = max(0.0, starts_s(loader) - loader.start_s)
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    seconds["off_step", begins] += loader.start_s * part
    seconds["step" if waits == "data_wait" else "off_step", waits] += late * part
    ends = run.partition.by_key.get((KIND["loader_end"], loader.id), {}) if part == 1 else {}
    for label, spent in ends.items():
        if label[0] == "off_step":
            seconds[label] += spent
    return [Scale(bucket, scope, each) for (scope, bucket), each in seconds.items() if each > 0]


def _by_fork(loader: LoaderFacts, seconds: float) -> Factor:
    """What remains of starting the workers and ending them."""
    forked_s = loader.num_workers * (FORK_S + STOP_S) + BOOT_S
    return Factor(*(min(1.0, FORKED[case] * forked_s / seconds) for case in ("best", "expected", "worst")))


def _pickling_share(run: Evidence, loader: LoaderFacts) -> float:
    """The training thread's samples in pickling, of all starts."""
    stacks = [stack for stack in run.making_stacks.get(loader.id, ()) if stack.bucket == "start"]
    sent = sum(stack.seconds for stack in stacks if any(frame.file.endswith(PICKLING) for frame in stack.below))
    whole = float(loader.making.startup.sum())
    return min(1.0, sent / whole) if whole > 0 else 0.0


def _may_fork(run: Evidence) -> bool:
    """Whether nothing is seen that a forked worker must not inherit: an accelerator, threads of the user's."""
    return not may_wait_for_device(run) and run.source.find(*IMPORTS) is None


def _diff(run: Evidence, loader: LoaderFacts) -> str:
    return set_arguments(run.source, loader.where, loader.class_name, multiprocessing_context='"fork"')


def _advice(forks: bool, pickling: float) -> str:
    if forks:
        return "Fork the workers: there is no accelerator and no thread of the script's that they must not inherit."
    heavy = "Keep big state out of the dataset object: hold its path, and open it on first use in the worker."
    light = (
        'Put what the script does on import under if __name__ == "__main__", and import less: each worker repeats it.'
    )
    return heavy if pickling >= HEAVY else light
