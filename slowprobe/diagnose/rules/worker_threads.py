"""Each loader worker computes on several threads, and together they are more than there are cores.

What it is: libraries that bring threads of their own (NumPy's BLAS, OpenCV, Polars) start one a core, in every worker.
torch limits its own operators to one thread a worker; it cannot limit those.

Why it is slow: a worker's threads take the cores from other workers' threads and from the training. Those that wait for
each other spin, or are switched all the time.

How it is seen: the CPU time of those of a worker's threads that Python did not start, against that of its own; the time
in which the thread that makes batches was ready and had no core, as the kernel counts both.

Saving: of the CPU time in which a worker's own thread works beside others, 0.35 remains, from 0.13 to 0.73; what it
waited for a core besides is gone. Measured with 4 processes of 2 threads each on 2 cores against 4 of one thread, NumPy
with OpenBLAS, products of 128, 192, 320, 512 and 900 rows: 10, 15, 5.7, 5.6 and 2.0 times as many a second, for as much
CPU time (those of 64 rows run on one thread). Steps on one thread take their CPU time: they waited for a core, too. At
worst nothing is gained, where the other threads did work that one would have to do. Both are replayed.

Stays quiet when: such threads take less than a fifth of what Python's take, all threads fit on the cores, the thread
waited for a core for less than a fifth of the time, or other programs took the cores.

Fix: one thread a worker, in worker_init_fn: threadpoolctl.threadpool_limits(1), cv2.setNumThreads(0); or
OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1 in the environment with torch.set_num_threads(n) in the script.

Sources: mmdetection#6867; mxnet#12025; pytorch#82219; threadpoolctl documentation.
"""

from __future__ import annotations

from slowprobe.diagnose.edits import diff, place, set_arguments
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules.cpu_oversubscribed import MIN_DELAY, delayed
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Change, Factor, Reload, Scale
from slowprobe.timeline.replay import WAIT_BUCKETS

REMAINING = {"best": 0.13, "expected": 0.35, "worst": 0.73}  # see "Saving" above
MIN_NATIVE = 0.2  # of the CPU time of Python's threads: less is a short operator now and then
HOT = 0.3  # of the workers' time: such a line is where the threads are started, and looks slow because of them
CV2 = ("import cv2", "from cv2")

RULE = Rule(
    title="Workers compute on several threads each",
    bottleneck="input",
    needs=(
        *("steps", "loaders", "worker_lines", "neighbours", "cores_per_rank", "source"),
        *("loader_models", "partition", "operator_threads"),
    ),
    closer_than=("cpu-oversubscribed", "slow-transform"),
    before=("workers-too-few", "prefetch-shallow", "head-of-line", "slow-transform"),
)


def check(run: Evidence) -> Answer:
    """Compare what worker processes compute with what the threads that make batches do."""
    mine = [loader for loader in run.loaders if loader.primary and loader.num_workers and not loader.watched]
    if not mine:
        return NotApplicable("no training loader has worker processes")
    loader = mine[0]
    delay = delayed(loader)
    read = [
        (worker.cpu_s, worker.native_cpu_ns / 1e9, worker.native_threads or 0)
        for worker in loader.making.workers
        if worker.cpu_s and worker.native_cpu_ns is not None
    ]
    if not read or delay is None:
        return NotChecked("the CPU time of the workers' threads was not recorded")
    whole_s, native_s = sum(cpu for cpu, _, _ in read), sum(native for _, native, _ in read)
    share = native_s / max(whole_s - native_s, 1e-9)
    threads = 1 + max(count for _, _, count in read)
    if share < MIN_NATIVE:
        return Passed(f"threads of libraries take {share:.0%} of the CPU time of the workers' own")
    if delay < MIN_DELAY or loader.num_workers * threads <= run.cores_per_rank:
        return Passed(f"workers compute on {threads} threads each, and waited for a core in {delay:.0%} of their time")
    if run.neighbours is not None and run.neighbours.in_the_way:
        return NotChecked("other programs took the cores")
    return _diagnose(run, loader, threads, share, delay)


def _diagnose(run: Evidence, loader: LoaderFacts, threads: int, share: float, delay: float) -> Diagnosis:
    changes = _changes(run, loader, min(1.0, share / max(1, threads - 1)), delay)
    limit = "cv2.setNumThreads(0)" if run.source.find(*CV2) else "threadpoolctl.threadpool_limits(1)"
    edit = set_arguments(run.source, loader.where, loader.class_name, worker_init_fn="one_thread")
    made = diff([], ["def one_thread(worker):", f"    {limit}"])
    return Diagnosis(
        title=f"{loader.num_workers} workers compute on {threads} threads each",
        summary=(
            f"Beside the thread that makes its batches, a worker has {threads - 1} that a library started, which take "
            f"{share:.0%} of its CPU time once more. On {run.cores_per_rank:.0f} cores, workers waited for a core in "
            f"{delay:.0%} of their time."
        ),
        where=place(loader.where),
        fix=Fix(text=f"Limit each worker to one thread: {limit} in worker_init_fn.", diff=f"{made}\n{edit}".strip()),
        changes=changes,
        basis="stated range",
        covers=[
            line.site
            for line in run.worker_lines
            if line.seconds >= HOT * sum(each.seconds for each in run.worker_lines)
        ],
        evidence={
            "threads of a worker": threads,
            "CPU time of libraries' threads over that of Python's": round(share, 3),
            "workers waiting for a core, of their time": round(delay, 3),
            "num_workers": loader.num_workers,
            "cores": run.cores_per_rank,
        },
    )


def _changes(run: Evidence, loader: LoaderFacts, beside: float, delay: float) -> list[Change]:
    """Cheaper batches, and steps that no longer wait for a core.

    beside: the part of a worker's own CPU time in which the other threads are at work as well.
    """
    model = run.loader_models.get(loader.id)
    if model is None:
        return [Reload(loader.id, fetch=Factor(1 - delay, 1 - delay / 2, 1.0))]
    alone = model.alone("expected")
    on_cpu = float(alone.cpu.mean() / max(float((alone.cpu + alone.idle).mean()), 1e-9))
    best, expected = (on_cpu * (1 - beside * (1 - REMAINING[case])) for case in ("best", "expected"))
    changes: list[Change] = [Reload(loader.id, fetch=Factor(best, expected, 1.0))]
    if run.operator_threads == 1:
        left = min(1.0, model.step_cpu_s / max(float(alone.consume.mean()), 1e-9))
        changes += [
            Scale(bucket, scope, seconds, Factor(left, left, 1.0))
            for (scope, bucket), seconds in run.partition.seconds.items()
            if scope == "step" and bucket not in WAIT_BUCKETS and bucket != "slowprobe" and seconds > 0
        ]
    return changes
