"""NumPy's BLAS brings threads of its own: how busy they were, and what a call of it costs it and torch's operators.

Known of OpenBLAS, which NumPy's and SciPy's wheels hold, on Linux.
"""

from __future__ import annotations

import ctypes
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROUNDS, ALONE = 8, 60  # with BLAS's threads, and with one: 8 ms each, and 0.1 ms
LEARN_S = 0.04  # of products, to see which threads compute them: ten time slices
REST_S = 0.1  # OpenBLAS's threads spin for some 30 ms after a call
BUSY = 0.1  # of the products' time: a thread that computes them
ROWS, NUMBERS = 128, 300_000  # a product, and an operator, that use all threads and take 0.1 ms
MIN_BUSY = 0.1  # of the time since training began; they hold nothing up for longer than they compute or spin


@dataclass(frozen=True)
class Pool:
    """The threads of one OpenBLAS library."""

    get: Callable[[], int]
    put: Callable[[int], None]


def pools() -> list[Pool]:
    """Those of the OpenBLAS libraries that this process has loaded."""
    try:
        mapped = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    found = []
    for path in sorted({line.split(maxsplit=5)[5] for line in mapped if "openblas" in line.rpartition("/")[2]}):
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        names = [(prefix, suffix) for prefix in ("scipy_", "") for suffix in ("64_", "", "_64", "64")]
        for prefix, suffix in names:
            get = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", None)
            put = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
            if get is not None and put is not None:
                found.append(Pool(get, put))
                break
    return found


def thread_cpu_ns() -> dict[int, int]:
    """CPU time of each thread of this process, as the kernel's scheduler counts it; empty where it does not tell."""
    spent = {}
    for task in Path("/proc/self/task").glob("*"):
        try:
            spent[int(task.name)] = int((task / "schedstat").read_text().split()[0])
        except (OSError, ValueError, IndexError):  # the thread has ended
            continue
    return spent


class BlasWatch:
    """What BLAS's threads compute, or spin for, from `begin` to `end`; which they are is found out after that."""

    def __init__(self) -> None:
        self._before: dict[int, int] | None = None
        self._after: dict[int, int] = {}
        self._begin_s = self._end_s = 0.0

    @property
    def began(self) -> bool:
        """Whether training has."""
        return self._before is not None

    def begin(self) -> None:
        """Training begins."""
        self._before, self._begin_s = thread_cpu_ns(), time.perf_counter()

    def end(self) -> None:
        """Recording is over."""
        self._after, self._end_s = thread_cpu_ns(), time.perf_counter()

    def values(self, torch: Any) -> dict[str, float]:
        """Threads and their part of the time since training began; more where that is enough to matter.

        ``blas.threads``, ``blas.busy`` (CPU time of the threads besides the caller's, over wall time);
        ``blas.call_ms``, ``blas.after_ms``: a call and the operator of torch that follows it, in turn;
        ``blas.call_alone_ms``, ``blas.after_alone_ms``: the same with one thread for BLAS. Empty without a BLAS that
        has threads.
        """
        numpy = sys.modules.get("numpy")
        mine = [pool for pool in pools() if pool.get() > 1]
        elapsed_s = self._end_s - self._begin_s
        if numpy is None or not mine or self._before is None or elapsed_s <= 0 or torch.get_num_threads() < 2:
            return {}
        matrix = numpy.ones((ROWS, ROWS))
        before = self._before
        busy = {each: (spent - before.get(each, 0)) / 1e9 / elapsed_s for each, spent in self._after.items()}
        values = {"blas.threads": float(max(pool.get() for pool in mine)), "blas.busy": 0.0}
        others = [each for each, share in busy.items() if share >= MIN_BUSY and each != threading.get_native_id()]
        if len(others) < torch.get_num_threads():  # torch's own at most
            return values
        values["blas.busy"] = sum(busy.get(each, 0.0) for each in _computing(lambda: matrix @ matrix))
        if values["blas.busy"] < MIN_BUSY:
            return values
        numbers = torch.ones(NUMBERS, dtype=torch.float32, device="cpu")
        with torch.inference_mode(False), torch.no_grad():
            calls, afters = _in_turn(lambda: matrix @ matrix, lambda: numbers * 2.0, ROUNDS)
            settings = [pool.get() for pool in mine]
            try:
                for pool in mine:
                    pool.put(1)
                time.sleep(REST_S)
                alone = _in_turn(lambda: matrix @ matrix, lambda: numbers * 2.0, ALONE)
            finally:
                for pool, count in zip(mine, settings, strict=True):
                    pool.put(count)
        # What they cost each other comes now in the one, now in the other: means. Alone, it is what is usual.
        values |= {"blas.call_ms": statistics.mean(calls), "blas.after_ms": statistics.mean(afters)}
        usual = [statistics.median(each) for each in alone]
        return values | {"blas.call_alone_ms": usual[0], "blas.after_alone_ms": usual[1]}


def _computing(call: Callable[[], Any]) -> list[int]:
    """The threads that take part in a call, but for the caller's."""
    time.sleep(REST_S)
    before, begin = thread_cpu_ns(), time.perf_counter()
    while (spent_s := time.perf_counter() - begin) < LEARN_S:
        call()
    now = thread_cpu_ns()
    mine = threading.get_native_id()
    return [each for each in now if each != mine and now[each] - before.get(each, 0) > BUSY * spent_s * 1e9]


def _in_turn(call: Callable[[], Any], after: Callable[[], Any], rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each, in every round."""
    calls, afters = [], []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        call()
        between = time.perf_counter()
        after()
        calls.append((between - begin) * 1e3)
        afters.append((time.perf_counter() - between) * 1e3)
    return calls[1:], afters[1:]
