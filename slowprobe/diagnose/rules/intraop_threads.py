"""Operators run on fewer threads than there are cores, or on more.

What it is: torch.set_num_threads, OMP_NUM_THREADS (which torchrun sets to 1) or a container leaves cores idle, or puts
more threads on the cores than there are.

Why it is slow: large matrix products and convolutions scale with cores up to memory bandwidth; too many threads take
turns and wait for each other at the end of every operator.

How it is seen: the number of threads against the cores this process may use, less those that loader workers keep busy
(by the CPU time of their batches); a matrix product timed after the run with both, and with Amdahl's law between them
where workers leave only some of the cores.

Saving: after the run the dearest of the step's own operators are timed on the recorded shapes with both numbers of
threads, and their time is replayed at what that leaves. Where they could not be tried, the matrix product stands for
them, and only the time of operators above 100 µs is taken to change: small ones run on one thread anyway.

Stays quiet when: threads equal cores, workers are at work on the others, the measurement differs by less than 10 %, or
operators are small.

Fix: torch.set_num_threads(cores), or OMP_NUM_THREADS for torchrun.

Sources: PyTorch Performance Tuning Guide (OpenMP settings); torchrun sets OMP_NUM_THREADS=1 for each process.
"""

from __future__ import annotations

import math

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._crowded_ranks import is_crowded
from slowprobe.timeline.loop_changes import Factor, Scale
from slowprobe.timeline.tried_edits import tried_edit

MIN_GAIN = 0.10  # of the measured operator; less is noise between two runs of it
TAKEN = 0.2  # of a core that workers may keep busy beside a thread; an operator ends with its slowest thread
LARGE_US = 100  # operators below run on one thread, or gain nothing from more

RULE = Rule(
    title="Operators do not use the cores there are",
    bottleneck="compute",
    needs=(
        *("steps", "settings", "cores", "costs", "ops", "partition", "source", "host", "ranks_here", "loaders"),
        "operator_threads",
    ),
)


def check(run: Evidence) -> Answer:
    """Compare threads with cores, and what the measurement says of it."""
    threads, all_cores = int(run.settings.get("num_threads") or 1), int(run.host.get("cores") or 1)
    cores = max(1, all_cores // run.ranks_here)
    if threads == cores:
        return Passed(f"{threads} threads on {cores} cores")
    if is_crowded(run):
        return Passed(f"{threads} threads on {cores} cores of this rank: see cpu-oversubscribed")
    working = _workers_cores(run)
    count = cores if threads > cores else min(cores, math.floor(cores - working + TAKEN))
    if threads < cores and count <= threads:
        return Passed(f"{threads} threads on {cores} cores, of which loader workers keep {working:.1f} busy")
    now, best = run.costs.get("threads.now_ms"), run.costs.get("threads.all_ms")
    if not now or not best:
        return NotChecked(f"{threads} threads on {cores} cores, but the run ended before both could be measured")
    if threads < cores:
        best = _between(now, best, threads, all_cores, min(float(cores), max(float(count - 1), cores - working)))
    if best > now * (1 - MIN_GAIN):
        return Passed(f"{threads} threads on {cores} cores, but {count} threads are no faster here")
    large = (1 - run.ops.durations.time_share_below.get(LARGE_US, 0.0)) * run.ops.shares.work
    ratio = best / now
    factor = Factor(ratio, (1 + 2 * ratio) / 3, (1 + ratio) / 2)  # a matmul scales best; other operators less
    tried = tried_edit(run.costs, "threads")
    if tried is not None and tried.left < 1:
        # What the trial leaves is of all cores; with fewer free ones, as much less is won as of the product.
        won = (1 - ratio) / (1 - run.costs["threads.all_ms"] / now)
        factor, large = tried.factor.of_part(min(1.0, won)), run.ops.shares.work
    seconds = {bucket: large * run.partition.bucket_s(bucket, "step") for bucket in ("forward", "backward")}
    site = run.source.find("set_num_threads", "OMP_NUM_THREADS")
    direction = "leave cores idle" if threads < cores else "take turns on the cores"
    beside = f", beside workers that keep {working:.1f} cores busy" if working >= TAKEN else ""
    return Diagnosis(
        title=f"{threads} threads on {cores} cores {direction}",
        summary=(
            f"Operators run on {threads} thread{'s' if threads > 1 else ''} while this process may use {cores} cores. "
            f"A matrix product takes {ratio:.0%} of its time with {count} threads on this machine{beside}."
        ),
        where=place(site),
        fix=Fix(
            text=f"Let torch use {count} threads; with torchrun or a job script, set OMP_NUM_THREADS={count}.",
            diff=diff(
                [run.source.line(site.file, site.line)] if site else [],
                [
                    f"torch.set_num_threads({count})"
                    if site is None or "OMP" not in run.source.line(site.file, site.line)
                    else f'os.environ["OMP_NUM_THREADS"] = "{count}"'
                ],
            ),
        ),
        changes=[Scale(bucket, "step", spent, factor) for bucket, spent in seconds.items() if spent > 0],
        basis="calibrated replay",
        evidence={
            "threads": threads,
            "cores": cores,
            "OMP_NUM_THREADS": str(run.settings.get("omp_num_threads")),
            "matmul now, ms": round(now, 3),
            f"matmul with {count} threads, ms": round(best, 3),
            "cores that workers keep busy": round(working, 2),
            "share of the step in operators above 100 µs": round(large, 3),
        },
    )


def _workers_cores(run: Evidence) -> float:
    """Cores that loader workers keep busy, on average over the loop."""
    made = (loader.batches * (loader.make_s or 0.0) * loader.cpu_share for loader in run.loaders if loader.num_workers)
    return float(sum(made) / run.partition.loop_s) if run.partition.loop_s > 0 else 0.0


def _between(now: float, best: float, threads: int, cores: int, free: float) -> float:
    """The measured time on the cores that are free: a part of it shrinks with the threads, the rest does not."""
    shrinks = max(0.0, now - best) / (1 / threads - 1 / cores)
    return now - shrinks * (1 / threads - 1 / max(free, float(threads)))
