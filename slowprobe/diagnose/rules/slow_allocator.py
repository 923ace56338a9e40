"""The C library gives memory back to the system in each step, and the next step has to fetch it anew.

What it is: activations, gradients and temporary tensors of megabytes on the CPU. torch asks malloc for each of them and
frees it at once when it is done. glibc's malloc maps blocks beyond 32 MB from the system each time, smaller ones until
it has seen one freed, and gives the top of its heap back as soon as some twice that is free.

Why it is slow: memory that is new to the process is mapped page by page, at the first touch of each: the processor
traps, the kernel finds a page of 4 KB and fills it with zeros. For elementwise operators that takes several times as
long as the operator. benchmarks/planted/slow_allocator (activations of 50 MB; 2 threads, torch 2.13, glibc 2.36) has
135,000 page faults a step, and takes 2.4 to 2.6 times as long as with the edit below; of loops with tensors of a few
MB, some gain 1.2 to 1.6 times (benchmarks/allocator.py tells).

How it is seen: the process's page faults, read by the sampler and charged to what is open then: forward, backward or
the optimizer. After the run a tensor of 40 MB is filled in new memory and again in the same, on the run's threads: the
difference is what a fault costs here.

Saving: these faults at that price, in the median part of the loop, so that memory that is filled once (the heap, the
optimizer's state) does not count. Left over is a twentieth: a heap that keeps all it had still grows now and then; in
the worst case half, where blocks of very different sizes leave gaps.

Stays quiet when: they take less than 5 % of loop time, the C library is not glibc, or the allocator of the process
(jemalloc, tcmalloc, mallopt) keeps what is freed: then the trial after the run has no faults. Page faults of batches
that come from workers or mapped files, outside forward, backward and optimizer, are not counted.

Fix: tell malloc to keep memory: mallopt before the training loop, MALLOC_MMAP_MAX_=0 and
MALLOC_TRIM_THRESHOLD_=100000000000 in the environment, or jemalloc or tcmalloc by LD_PRELOAD. The process then holds
its peak memory until it ends.

Sources: mallopt(3); PyTorch Performance Tuning Guide (switch memory allocator).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import diff
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import shares
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.run.record import Site
from slowprobe.timeline.loop_changes import Factor, Scale

COUNTED = ("forward", "backward", "optimizer")
MIN_SHARE = 0.05  # of loop time; faults are charged by samples, and the price strays by a tenth
LEFT = Factor(0.0, 0.05, 0.5)  # see "Saving" above
EDIT = (
    "import ctypes",
    'libc = ctypes.CDLL("libc.so.6")',
    "libc.mallopt(-4, 0)   # M_MMAP_MAX: large tensors come from the heap",
    "libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: the heap keeps what is freed",
)

RULE = Rule(
    title="Memory of each step is fetched anew from the system",
    bottleneck="memory",
    needs=("steps", "page_faults", "partition", "costs", "forwards", "backwards", "optimizers"),
)


def check(run: Evidence) -> Answer:
    """Price the page faults of forward, backward and optimizer."""
    fault_us = run.costs.get("memory.fault_us")
    if fault_us is None:
        return NotChecked("what a page fault costs was not measured (it is with glibc, after a run)")
    if not fault_us:
        return Passed("the allocator of this process keeps what is freed")
    loop_s = run.partition.loop_s
    spent: dict[str, float] = {}
    for kind in COUNTED:
        wanted_s = run.page_faults.get(kind, 0.0) * loop_s * fault_us / 1e6
        spent[kind] = min(wanted_s, run.partition.bucket_s(kind, "step"))
    total_s = sum(spent.values())
    if not total_s:
        return NotApplicable("no step touched memory that was new to the process")
    share = total_s / loop_s
    if share < MIN_SHARE:
        return Passed(f"steps fetch memory for {share:.1%} of loop time")
    per_step = sum(run.page_faults.get(kind, 0.0) for kind in COUNTED) * run.steps.median_ms() / 1e3
    return Diagnosis(
        summary=(
            f"{share:.0%} of loop time goes into memory that the step before has given back: {per_step:,.0f} page "
            f"faults a step, {fault_us:.2f} µs each."
        ),
        where=shares(_sites(run, spent)),
        fix=Fix(
            text=(
                "Tell malloc to keep freed memory, before the training loop; or start with MALLOC_MMAP_MAX_=0 "
                "MALLOC_TRIM_THRESHOLD_=100000000000, or with jemalloc. The process then holds its peak memory."
            ),
            diff=diff([], EDIT),
        ),
        changes=[Scale(kind, "step", seconds, LEFT) for kind, seconds in spent.items() if seconds > 0],
        basis="calibrated replay",
        evidence={
            "page faults a step": round(per_step),
            "a page fault, µs": round(fault_us, 3),
            **{f"of it in {kind}, s": round(seconds, 3) for kind, seconds in spent.items()},
        },
    )


def _sites(run: Evidence, spent: dict[str, float]) -> dict[Site, float]:
    """The user's lines that touch new memory: each kind's time, divided as its calls' time is."""
    found: dict[Site, float] = {}
    for kind, facts in (("forward", run.forwards), ("backward", run.backwards), ("optimizer", run.optimizers)):
        all_s = sum(each.seconds for each in facts)
        for each in facts:
            if each.where is not None and spent[kind] and all_s:
                found[each.where] = found.get(each.where, 0.0) + spent[kind] * each.seconds / all_s
    return found
