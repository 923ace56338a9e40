"""What memory that is new to the process costs here: the trials of calibration."""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

from slowprobe.capture.machine import minor_faults
from slowprobe.capture.medians import ROUNDS

PAGES = 512  # 2 MB: 2 ms
NUMBERS = 9_000_000  # 36 MB a tensor: beyond 32 MB glibc asks the system each time, whatever the process did before
MIN_ROUNDS = 3  # of 40 ms


def is_glibc() -> bool:
    """Whether malloc is glibc's, unless something is loaded in its place."""
    try:
        return "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (AttributeError, ValueError, OSError):
        return False


def fresh_pages(until: float) -> dict[str, float]:
    """The first write to a page, in new memory: what a forked process and its parent pay for each page they share."""
    import mmap

    with mmap.mmap(-1, PAGES * mmap.PAGESIZE) as memory:
        begin = time.perf_counter()
        for page in range(0, PAGES * mmap.PAGESIZE, mmap.PAGESIZE):
            memory[page] = 1
        spent = time.perf_counter() - begin
        begin = time.perf_counter()
        for page in range(0, PAGES * mmap.PAGESIZE, mmap.PAGESIZE):
            memory[page] = 2  # the same without the fault
        again = time.perf_counter() - begin
    return {"page_us": max(0.0, spent - again) / PAGES * 1e6}


def fresh_memory(torch: Any, until: float) -> dict[str, float]:
    """Two operators, one after the other, into new memory and into old, on the run's threads, by page fault.

    The quickest rounds count: other work on the machine makes a round longer, and none shorter."""
    numbers, first, second = (torch.ones(NUMBERS, dtype=torch.float32, device="cpu") for _ in range(3))
    fresh_s: list[float] = []
    again_s: list[float] = []
    faults: list[int] = []
    while len(fresh_s) < ROUNDS and (len(fresh_s) < MIN_ROUNDS or time.perf_counter() < until):
        before, begin = minor_faults(), time.perf_counter()
        (numbers * 2.0).add(1.0)
        filled = time.perf_counter()
        fresh_s.append(filled - begin)
        faults.append(minor_faults() - before)
        filled = time.perf_counter()
        torch.add(torch.mul(numbers, 2.0, out=first), 1.0, out=second)
        again_s.append(time.perf_counter() - filled)
    count = statistics.median(faults)
    if count < 1:
        return {"memory.fault_us": 0.0}  # this allocator keeps what is freed
    return {"memory.fault_us": max(0.0, min(fresh_s) - min(again_s)) / count * 1e6}
