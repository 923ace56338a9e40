"""Operators run on fewer threads than there are cores, or on more.

What it is: torch.set_num_threads, OMP_NUM_THREADS (which torchrun sets to 1) or a container leaves cores idle, or puts
more threads on the cores than there are.

Why it is slow: large matrix products and convolutions scale with cores up to memory bandwidth; too many threads take
turns and wait for each other at the end of every operator.

How it is seen: the number of threads against the cores this process may use, and a matrix product timed after the run
with both. Only the time of operators above 100 µs is taken to change: small ones run on one thread anyway.

Stays quiet when: threads equal cores, the measurement differs by less than 10 %, or operators are small.

Fix: torch.set_num_threads(cores), or OMP_NUM_THREADS for torchrun.

Sources: PyTorch Performance Tuning Guide (OpenMP settings); torchrun sets OMP_NUM_THREADS=1 for each process.
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.timeline.replay import Factor, Scale

MIN_GAIN = 0.10  # of the measured operator; less is noise between two runs of it
LARGE_US = 100  # operators below run on one thread, or gain nothing from more

RULE = Rule(
    title="Operators do not use the cores there are",
    bottleneck="compute",
    needs=("steps", "settings", "cores", "costs", "ops", "partition", "source", "host"),
)


def check(run: Any) -> Answer:
    """Compare threads with cores, and what the measurement says of it."""
    threads, cores = int(run.settings.get("num_threads") or 1), int(run.host.get("cores") or 1)
    if threads == cores:
        return Passed(f"{threads} threads on {cores} cores")
    now, best = run.costs.get("threads.now_ms"), run.costs.get("threads.all_ms")
    if not now or not best:
        return NotChecked(f"{threads} threads on {cores} cores, but the run ended before both could be measured")
    if best > now * (1 - MIN_GAIN):
        return Passed(f"{threads} threads on {cores} cores, but {cores} threads are no faster here")
    large = (1 - run.ops.durations.time_share_below.get(LARGE_US, 0.0)) * run.ops.shares.work
    ratio = best / now
    factor = Factor(ratio, (1 + 2 * ratio) / 3, (1 + ratio) / 2)  # a matmul scales best; other operators less
    seconds = {bucket: large * run.partition.bucket_s(bucket, "step") for bucket in ("forward", "backward")}
    site = run.source.find("set_num_threads", "OMP_NUM_THREADS")
    direction = "leave cores idle" if threads < cores else "take turns on the cores"
    return Diagnosis(
        title=f"{threads} threads on {cores} cores {direction}",
        summary=(
            f"Operators run on {threads} thread{'s' if threads > 1 else ''} while this process may use {cores} cores. "
            f"A matrix product takes {ratio:.0%} of its time with {cores} threads on this machine."
        ),
        where=place(site),
        fix=Fix(
            text=f"Let torch use {cores} threads; with torchrun or a job script, set OMP_NUM_THREADS={cores}.",
            diff=diff(
                [run.source.line(site.file, site.line)] if site else [],
                [
                    f"torch.set_num_threads({cores})"
                    if site is None or "OMP" not in run.source.line(site.file, site.line)
                    else f'os.environ["OMP_NUM_THREADS"] = "{cores}"'
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
            f"matmul with {cores} threads, ms": round(best, 3),
            "share of the step in operators above 100 µs": round(large, 3),
        },
    )
