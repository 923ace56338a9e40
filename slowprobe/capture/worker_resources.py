"""What a worker process takes of the machine: CPU, memory of its own, reads, switches, files opened."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from pathlib import Path

from slowprobe.capture.sites import Sites
from slowprobe.run.worker_records import WorkerResources

FIRST_SMAPS_S, SMAPS_PERIOD_S = 1.0, 4.0
SMAPS_SHARE = 0.002  # of the time may go to smaps_rollup, for which all memory is walked: 19 ms with torch loaded
FIRST_OPENS, OPENS_EVERY = 16, 32  # calls whose lines are looked at
MAX_SITES = 20
MAX_THREADS = 256  # that are looked at


class OpenCounter:
    """An audit hook that counts the files which Python code opens while `counting`."""

    def __init__(self) -> None:
        self.counting = False
        self._sites: Sites | None = None  # resolves paths when it is made: not while a worker starts
        self._own_threads: set[int] = set()
        self.count = 0
        self.places: dict[tuple[str, int, str], int] = {}

    def attach(self) -> None:
        """Add the hook. It cannot be taken off again: for processes that end with the recording only."""
        sys.addaudithook(self._hook)

    def leave_out_this_thread(self) -> None:
        """What this thread opens is slowprobe's."""
        self._own_threads.add(threading.get_ident())

    def _hook(self, event: str, _: object) -> None:
        if event != "open" or not self.counting:
            return
        try:
            if threading.get_ident() in self._own_threads:
                return
            self.count = count = self.count + 1
            if count <= FIRST_OPENS or count % OPENS_EVERY == 0:
                self._look(count)
        except Exception:  # an exception would be the user's open() failing
            return

    def _look(self, count: int) -> None:
        if self._sites is None:
            self._sites = Sites()
        place = self._sites.of_caller(sys._getframe(2))
        if place is None:
            return
        key = place.file, place.line, place.function
        if key in self.places or len(self.places) < MAX_SITES:
            self.places[key] = self.places.get(key, 0) + 1


class WorkerMeter:
    """Reads `WorkerResources` of this process; what the machine does not tell stays None."""

    def __init__(self, origin_ns: int, opens: OpenCounter | None) -> None:
        self._origin_ns = origin_ns
        self._opens = opens
        self._next_smaps = time.monotonic() + FIRST_SMAPS_S

    def read(self) -> WorkerResources:
        """One reading; about 150 µs, more when it is time for the memory map."""
        reading = WorkerResources(at_ns=time.perf_counter_ns() - self._origin_ns, cpu_ns=time.process_time_ns())
        with contextlib.suppress(Exception):
            reading.rss_bytes = int(Path("/proc/self/statm").read_bytes().split()[1]) * _page_bytes()
        with contextlib.suppress(Exception):
            self._switches(reading)
        with contextlib.suppress(Exception):  # of the process's first thread, which makes the batches
            reading.run_delay_ns = int(Path("/proc/self/schedstat").read_text().split()[1])
        with contextlib.suppress(Exception):
            reading.native_threads, reading.native_cpu_ns = _native_threads()
        with contextlib.suppress(Exception):
            counters = _fields("/proc/self/io")
            reading.rchar, reading.read_bytes = counters.get("rchar"), counters.get("read_bytes")
            reading.read_calls = counters.get("syscr")
        if time.monotonic() >= self._next_smaps:
            with contextlib.suppress(Exception):
                self._memory_map(reading)
        if self._opens is not None:
            reading.opens = self._opens.count
            reading.open_sites = [(*place, count) for place, count in list(self._opens.places.items())]
        return reading

    @staticmethod
    def _switches(reading: WorkerResources) -> None:
        import resource

        usage = resource.getrusage(resource.RUSAGE_SELF)
        reading.voluntary_switches, reading.involuntary_switches = usage.ru_nvcsw, usage.ru_nivcsw

    def _memory_map(self, reading: WorkerResources) -> None:
        self._next_smaps = float("inf")  # unless it can be read
        begin = time.monotonic()
        sizes = _fields("/proc/self/smaps_rollup")
        now = time.monotonic()
        reading.pss_bytes = sizes["Pss"] * 1024
        reading.uss_bytes = (sizes["Private_Clean"] + sizes["Private_Dirty"]) * 1024
        self._next_smaps = now + max(SMAPS_PERIOD_S, (now - begin) / SMAPS_SHARE)


def _native_threads() -> tuple[int, int]:
    """How many threads Python did not start, and their CPU time in ns; some 10 µs a thread."""
    pythons = {os.getpid(), *(thread.native_id for thread in threading.enumerate())}
    cpu_ns, count = 0, 0
    for number, task in enumerate(Path("/proc/self/task").iterdir()):
        if number < MAX_THREADS and int(task.name) not in pythons:
            cpu_ns += int((task / "schedstat").read_text().split()[0])
            count += 1
    return count, cpu_ns


def _fields(path: str) -> dict[str, int]:
    """The ``name: number`` lines of a file of /proc."""
    found: dict[str, int] = {}
    for line in Path(path).read_text().splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found


def _page_bytes() -> int:
    import resource

    return resource.getpagesize()
