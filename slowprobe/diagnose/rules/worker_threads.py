"""Each loader worker computes on several threads, and together they are more than there are cores.

What it is: libraries that bring threads of their own (NumPy's BLAS, OpenCV, Polars) start one a core, in every worker.
torch limits its own operators to one thread a worker; it cannot limit those.

Why it is slow: a worker's threads take the cores from other workers' threads and from the training. Those that wait for
each other spin, or are switched all the time.

How it is seen: the CPU time of the worker processes against that of the thread that makes the batches and the pickling
beside it; the time in which that thread was ready and had no core, as the kernel counts it.

Saving: batches with that waiting gone, at best; none of it at worst, where the other threads did work that one would
have to do; half of it is expected. The loader is replayed with that.

Stays quiet when: other threads take less than 0.3 of what the making thread takes, all threads fit on the cores, the
thread waited for a core for less than a fifth of the time, or other programs took the cores.

Fix: one thread a worker, in worker_init_fn: threadpoolctl.threadpool_limits(1), cv2.setNumThreads(0); or
OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1 in the environment with torch.set_num_threads(n) in the script.

Sources: mmdetection#6867; mxnet#12025; pytorch#82219; threadpoolctl documentation.
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.edits import diff, place, set_arguments
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules.cpu_oversubscribed import MIN_DELAY, SPARE, delayed
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.replay import Factor, Reload

MIN_OTHERS = 0.3  # of the making thread's CPU time: reading clocks, stack samples and the queue take some of it
MIN_CPU_S = 0.5  # of the worker processes; counters come in hundredths of a second
CV2 = ("import cv2", "from cv2")

RULE = Rule(
    title="Workers compute on several threads each",
    bottleneck="input",
    needs=("steps", "loaders", "neighbours", "cores_per_rank", "source"),
    closer_than=("cpu-oversubscribed",),
)


def check(run: Any) -> Answer:
    """Compare what worker processes compute with what the threads that make batches do."""
    mine = [loader for loader in run.loaders if loader.primary and loader.num_workers and not loader.watched]
    if not mine:
        return NotApplicable("no training loader has worker processes")
    loader = mine[0]
    process_s, thread_s, delay = _process_s(loader), _thread_s(loader), delayed(loader)
    if process_s is None or thread_s is None or delay is None:
        return NotChecked("the CPU time of workers was not recorded")
    if process_s < MIN_CPU_S or thread_s <= 0:
        return Passed(f"workers used the CPU for {process_s:.2f} s")
    others = process_s / thread_s - 1
    if others < MIN_OTHERS:
        return Passed("the thread that makes batches is the only one at work in a worker")
    made_s = sum(worker.made_s for worker in loader.making.workers)
    wanted = loader.num_workers * process_s / made_s
    if delay < MIN_DELAY or wanted + loader.num_workers * delay <= SPARE * run.cores_per_rank:
        return Passed(f"workers compute on several threads, and waited for a core in {delay:.0%} of their time only")
    if run.neighbours is not None and run.neighbours.in_the_way:
        return NotChecked("other programs took the cores")
    return _diagnose(run, loader, 1 + others, delay)


def _process_s(loader: LoaderFacts) -> float | None:
    """CPU seconds of the worker processes, without pickling batches, which is on a thread of its own."""
    read = [worker.cpu_s for worker in loader.making.workers if worker.cpu_s is not None]
    return max(0.0, sum(read) - (loader.making.hand_over_s or 0.0)) if read else None


def _thread_s(loader: LoaderFacts) -> float | None:
    """CPU seconds of the threads that made batches."""
    fetch, collate = loader.making.fetch_cpu_share, loader.making.collate_cpu_share
    if fetch is None or loader.fetch_s is None:
        return None
    return fetch * loader.fetch_s + (fetch if collate is None else collate) * (loader.collate_s or 0.0)


def _diagnose(run: Any, loader: LoaderFacts, threads: float, delay: float) -> Diagnosis:
    left = Factor(1 - delay, 1 - delay / 2, 1.0)
    limit = "cv2.setNumThreads(0)" if run.source.find(*CV2) else "threadpoolctl.threadpool_limits(1)"
    edit = set_arguments(run.source, loader.where, loader.class_name, worker_init_fn="one_thread")
    made = diff([], ["def one_thread(worker):", f"    {limit}"])
    return Diagnosis(
        title=f"{loader.num_workers} workers compute on {threads:.1f} threads each",
        summary=(
            f"A worker process uses {threads:.1f} times the CPU time of the thread that makes its batches, and that "
            f"thread waited for one of {run.cores_per_rank:.0f} cores in {delay:.0%} of its time: a library starts "
            "threads in each worker."
        ),
        where=place(loader.where),
        fix=Fix(text=f"Limit each worker to one thread: {limit} in worker_init_fn.", diff=f"{made}\n{edit}".strip()),
        changes=[Reload(loader.id, fetch=left)],
        basis="stated range",
        evidence={
            "CPU time of a worker process over that of its making thread": round(threads, 2),
            "making threads waiting for a core, of their time": round(delay, 3),
            "num_workers": loader.num_workers,
            "cores": run.cores_per_rank,
        },
    )
