"""What the background thread does while the training runs: samples the stack and carries what was recorded to disk."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable

from slowprobe.capture.blas_trials import BlasWatch
from slowprobe.capture.loader_cpu import LoaderCpuMeter
from slowprobe.capture.lock_waits import LockWaitLog
from slowprobe.capture.machine import ResourceMeter, minor_faults
from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.sampler import StackSampler
from slowprobe.capture.sources import Sources
from slowprobe.capture.span_key import SUBJECT_BITS
from slowprobe.capture.subjects import Subjects
from slowprobe.capture.totals import Totals
from slowprobe.capture.turn_taking import TurnTaking
from slowprobe.run.schema import KINDS, Resources
from slowprobe.run.writer import JournalWriter

MAKING = (KIND["fetch"], KIND["collate"])
PATIENCE_S = 10.0  # in which a script imports NumPy or torch; what one of less haste records meanwhile fits into memory
READING_S, READ_OFTEN_S = 0.5, 60.0  # a short run needs several readings to show that its memory grows; then by chunk


class Upkeep:
    """Samples and flushes; `note(topic, text, level)` tells of a recorder that has stopped."""

    def __init__(
        self,
        recorder: Recorder,
        journal: JournalWriter,
        subjects: Subjects,
        loader_cpu: LoaderCpuMeter,
        note: Callable[[str, str, str], None],
    ) -> None:
        self._recorder = recorder
        self._journal = journal
        self._subjects = subjects
        self._loader_cpu = loader_cpu
        self._note = note
        self.totals = Totals(0)
        self.sampler = StackSampler(recorder.thread, recorder.origin_ns, self._context)
        self._sources = Sources(journal.write, subjects.sites)
        self._lock_waits = LockWaitLog(recorder.origin_ns)
        self._meter = ResourceMeter(recorder.origin_ns)
        self._readings: list[Resources] = []
        self._faults_seen = minor_faults()
        self.faults: Counter[str] = Counter()  # pages touched first, by kind of span
        self.blas = BlasWatch()
        self._next_reading_ns = recorder.origin_ns
        self._next_chunk_ns = 0
        self._patient_until = time.monotonic() + PATIENCE_S
        self._noted_fault: str | None = None
        self.turn_taking = TurnTaking()
        self._makes_batches = False  # only then is it of use how long the interpreter lock is waited for

    def sample(self, due_ns: int) -> None:
        """Read the training thread's stack once, or note by how much this comes later than `due_ns`."""
        self._count_faults()
        if not self.blas.began and self._recorder.last_key >= 0:
            self.blas.begin()
        if self.turn_taking.natural:
            self._lock_waits.add(due_ns, time.perf_counter_ns())
        else:
            self.turn_taking.hold()
            self.sampler.sample()
        if self._next_reading_ns <= due_ns < self._recorder.origin_ns + int(READ_OFTEN_S * 1e9):
            self._next_reading_ns = due_ns + int(READING_S * 1e9)
            self._readings.append(self._meter.read(dict(self.faults)))
        training = self._recorder.last_key >= 0 or bool(self._recorder.stack)
        self.turn_taking.adapt(self.sampler.contended or not training, self._makes_batches)

    def _context(self) -> tuple[int, bool]:
        stack = self._recorder.stack
        try:
            key = stack[-1]
        except IndexError:
            return self._recorder.last_key, False
        self._makes_batches = self._makes_batches or key >> SUBJECT_BITS in MAKING
        return key, True

    def _count_faults(self) -> None:
        """Charge the pages touched since the last time to what is open now: right on average."""
        total = minor_faults()
        key, inside = self._context()
        self.faults[KINDS[key >> SUBJECT_BITS] if inside else "python"] += total - self._faults_seen
        self._faults_seen = total

    def flush(self, final_ns: int | None = None) -> None:
        """Write what was recorded since the last time; `final_ns` is when the recording ended."""
        recorder, final = self._recorder, final_ns is not None
        if not final and "numpy" not in sys.modules and time.monotonic() < self._patient_until:
            return  # the script may be about to set how many threads NumPy starts: it is not to be imported before that
        now_ns = time.perf_counter_ns() - recorder.origin_ns if final_ns is None else final_ns
        self._journal.write(*self.totals.add(recorder.take()))
        self._sources.add(self.sampler.new_files, self._subjects.named_files)
        if final or now_ns >= self._next_chunk_ns:
            self._next_chunk_ns = now_ns + int(Totals.chunk_seconds(now_ns / 1e9) * 1e9)
            chunk = self.totals.chunk(now_ns, recorder.open_rows(), final=final)
            readings, self._readings = (*self._readings, self._meter.read(dict(self.faults))), []
            rest = (*self.sampler.take(), *self._loader_cpu.take(), *self._lock_waits.take(), *readings)
            self._journal.write(*chunk, *rest, vital=final)
        if recorder.fault is not None and recorder.fault != self._noted_fault:
            self._noted_fault = recorder.fault
            self._note("recorder", f"recording stopped early: {recorder.fault}", "error")
