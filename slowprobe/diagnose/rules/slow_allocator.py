"""The C library gives memory back to the system in each step, and the next step has to fetch it anew.

What it is: activations, gradients and temporary tensors of megabytes on the CPU. torch asks malloc for each of them and
frees it at once when it is done. glibc's malloc maps blocks beyond 32 MB from the system each time, smaller ones until
it has seen one freed, and gives the top of its heap back as soon as some twice that is free.

Why it is slow: memory that is new to the process is mapped page by page, at the first touch of each: the processor
traps, the kernel finds a page of 4 KB and fills it with zeros. For elementwise operators that takes several times as
long as the operator. benchmarks/planted/slow_allocator (activations of 50 MB; 2 threads, torch 2.13, glibc 2.36) has
135,000 page faults a step, and takes 2.0 to 2.6 times as long as with the edit below; of loops with tensors of a few
MB, some gain 1.2 to 1.6 times (benchmarks/allocator.py tells).

How it is seen: the process's page faults, read by the sampler and charged to what is open then: forward, backward or
the optimizer. Where they are many, two operators write 36 MB each after the run, into new memory and into old, on the
run's threads: the difference is what a fault costs here.

Saving: these faults at that price, in the median part of the loop, so that memory that is filled once (the heap, the
optimizer's state) does not count. Of eight loops with more than 90,000 faults (benchmarks/allocator.py; the trial said
1.4 µs), the time saved was 1.0 to 2.5 µs a fault, 1.3 in the median, and in one nothing to be told from noise:
memory that is kept may still be in the caches, which a trial on 100 MB does not show, and blocks of different sizes
leave gaps. So: from half the price to 1.8 times it.

Stays quiet when: they take less than 5 % of loop time, the training is on a device, the C library is not glibc, or the
allocator of the process (jemalloc, tcmalloc, mallopt) keeps what is freed: then the trial after the run has no faults.
Page faults of batches that come from workers or mapped files, outside forward, backward and optimizer, are not counted,
nor those in memory by which the process grows.

Fix: tell malloc to keep memory: mallopt before the training loop, MALLOC_MMAP_MAX_=0 and
MALLOC_TRIM_THRESHOLD_=100000000000 in the environment, or jemalloc or tcmalloc by LD_PRELOAD. The process then holds
its peak memory until it ends.

Sources: mallopt(3); PyTorch Performance Tuning Guide (switch memory allocator).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import diff
from slowprobe.diagnose.evidence import Evidence, EvidenceMissing
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import shares
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.run.record import Site
from slowprobe.timeline.loop_changes import Factor, Scale

COUNTED = ("forward", "backward", "optimizer")
MIN_SHARE = 0.05  # of loop time; faults are charged by samples, and the price strays by a tenth
BEST, EXPECTED, WORST = 1.8, 1.0, 0.5  # of the price; see "Saving" above
PAGE_BYTES = 4096
HIGHEST_US = 10.0  # no fault was seen to cost as much
EDIT = (
    "import ctypes",
    'libc = ctypes.CDLL("libc.so.6")',
    "libc.mallopt(-4, 0)   # M_MMAP_MAX: large tensors come from the heap",
    "libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: the heap keeps what is freed",
)

RULE = Rule(
    title="Memory of each step is fetched anew from the system",
    bottleneck="memory",
    needs=("steps", "page_faults", "partition", "costs", "forwards", "backwards", "optimizers", "memory_growth"),
)


def check(run: Evidence) -> Answer:
    """Price the page faults of forward, backward and optimizer."""
    faults = _given_back(run)
    if not sum(faults.values()):
        return NotApplicable("no step touched memory that was new to the process")
    loop_s = run.partition.loop_s
    fault_us = run.costs.get("memory.fault_us")
    if fault_us is None and sum(faults.values()) * HIGHEST_US / 1e6 >= MIN_SHARE:
        return NotChecked("what a page fault costs was not measured (it is with glibc, after a run on the CPU)")
    if fault_us == 0:
        return Passed("the allocator of this process keeps what is freed")
    if fault_us is None:
        return Passed(f"steps touch new memory only {sum(faults.values()):,.0f} times a second")
    spent = {
        kind: min(rate * loop_s * fault_us / 1e6, run.partition.bucket_s(kind, "step"))
        for kind, rate in faults.items()
        if rate
    }
    share = sum(spent.values()) / loop_s
    if share < MIN_SHARE:
        return Passed(f"steps fetch memory for {share:.1%} of loop time")
    per_step = sum(faults.values()) * run.steps.median_ms() / 1e3
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
        changes=[_change(kind, seconds, run.partition.bucket_s(kind, "step")) for kind, seconds in spent.items()],
        basis="calibrated replay",
        evidence={
            "page faults a step": round(per_step),
            "a page fault, µs": round(fault_us, 3),
            **{f"of it in {kind}, s": round(seconds, 3) for kind, seconds in spent.items()},
        },
    )


def _given_back(run: Evidence) -> dict[str, float]:
    """Page faults a second by kind, less those in memory by which the process grows: that was nobody's before."""
    faults = {kind: run.page_faults.get(kind, 0.0) for kind in COUNTED}
    try:
        grown = max(0.0, run.memory_growth.bytes_per_s) / PAGE_BYTES
    except EvidenceMissing:
        grown = 0.0
    left = max(0.0, 1 - grown / sum(faults.values())) if sum(faults.values()) else 0.0
    return {kind: rate * left for kind, rate in faults.items()}


def _change(kind: str, seconds: float, all_s: float) -> Scale:
    """What remains of `all_s` seconds of forward passes, for example, whose page faults are priced at `seconds`."""
    best_s, expected_s, worst_s = (min(times * seconds, all_s) for times in (BEST, EXPECTED, WORST))
    return Scale(kind, "step", best_s, Factor(0.0, 1 - expected_s / best_s, 1 - worst_s / best_s))


def _sites(run: Evidence, spent: dict[str, float]) -> dict[Site, float]:
    """The user's lines that touch new memory: each kind's time, divided as its calls' time is."""
    found: dict[Site, float] = {}
    for kind, facts in (("forward", run.forwards), ("backward", run.backwards), ("optimizer", run.optimizers)):
        all_s = sum(each.seconds for each in facts)
        for each in facts:
            if each.where is not None and all_s and kind in spent:
                found[each.where] = found.get(each.where, 0.0) + spent[kind] * each.seconds / all_s
    return found
