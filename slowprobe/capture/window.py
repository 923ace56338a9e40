"""torch.profiler windows: a few clean steps and one annotated step, once the loop has settled."""

from __future__ import annotations

import gzip
import os
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from slowprobe.capture.gather_trials import Gather, gathers
from slowprobe.capture.kernel_shapes import KernelTimes
from slowprobe.capture.line_marks import LineMarks
from slowprobe.capture.profiler_noise import without_profiler_noise
from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.sites import Sites
from slowprobe.capture.span_key import span_key
from slowprobe.capture.step_operators import Operator, made_tensors, step_operators
from slowprobe.run.kernels import Kernels
from slowprobe.run.schema import Note, Window

SLOWPROBE = KIND["slowprobe"]
EVENT_BUDGET = 60_000  # stop() and export then cost well under a second
MAX_CLEAN_STEPS = 10
MAX_CLEAN_S = 8.0
SETTLE_STEPS, SETTLE_S = 6, 0.5
PATIENCE_STEPS, PATIENCE_S = 4, 5.0  # for loops with slow steps
STEP_MARK = "slowprobe.step"

Role = Literal["sizing", "clean", "annotated"]
_NEXT: dict[Role | None, Role | None] = {None: "sizing", "sizing": "clean", "clean": "annotated", "annotated": None}


class WindowProbe:
    """Opens and closes windows at turns of the loop; a profiler that runs already (the user's) keeps the floor."""

    def __init__(
        self,
        recorder: Recorder,
        folder: Path,
        subject: int,
        sites: Sites,
        write: Callable[[Window | Kernels | Note], None],
    ) -> None:
        self._recorder = recorder
        self._sites = sites
        self._folder = folder
        self._key = span_key(SLOWPROBE, subject)
        self._write = write
        self._role: Role | None = None
        self._next: Role | None = "sizing"
        self._profiler: Any = None
        self._mark: Any = None
        self._turns = self._turns_left = self._steps_wanted = 0
        self._first_ns = self._opened_ns = self._start_ns = 0
        self._pending: list[tuple[Path, Window]] = []
        self._annotate = True
        self._lines: LineMarks | None = None
        self.kernels: KernelTimes | None = None
        """Products and convolutions of the annotated step."""
        self.kernels_share = 0.0
        """Of that step, as profiled."""
        self.made: list[tuple[list[int], str]] = []
        """Dimensions and types of the tensors that the annotated step made of lists and arrays."""
        self.operators: list[Operator] = []
        """All operators of the annotated step, with what it takes to call them again."""
        self.gathers: list[Gather] = []
        self.starting = False

    @property
    def is_open(self) -> bool:
        """Whether a window is recording."""
        return self._profiler is not None

    @property
    def done(self) -> bool:
        """Whether no window is open and none will be."""
        return self._profiler is None and self._next is None

    def turn(self) -> None:
        """The loop has come round: between two steps, outside every span."""
        now = time.perf_counter_ns()
        self._turns += 1
        self._first_ns = self._first_ns or now
        try:
            if self._profiler is not None:
                self._turns_left -= 1
                self._end_mark()
                if self._turns_left > 0:
                    self._begin_mark()
                else:
                    self._recorder.open(self._key)
                    self._close(now)
                    self._recorder.close(self._key)
            elif self._next is not None and self._settled(now):
                self._recorder.open(self._key)
                self._open()
                self._recorder.close(self._key)
        except Exception as error:
            self._give_up(f"a profiler window failed: {type(error).__name__}: {error}")
            self._recorder.close(self._key)

    def _settled(self, now: int) -> bool:
        elapsed_s = (now - self._first_ns) / 1e9
        if self._next != "sizing":
            return True
        return (self._turns >= SETTLE_STEPS and elapsed_s >= SETTLE_S) or (
            self._turns >= PATIENCE_STEPS and elapsed_s >= PATIENCE_S
        )

    def _open(self) -> None:
        import torch

        if torch._C._autograd._profiler_enabled():
            self._give_up("another profiler was running, so no window was recorded")
            return
        role, self._opened_ns = self._next, time.perf_counter_ns()
        assert role is not None
        activities = [torch.profiler.ProfilerActivity.CPU]
        if self._has_device():
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        annotated = role == "annotated"
        self._turns_left = self._steps_wanted = 1 if role != "clean" else max(1, self._steps_wanted)
        self.starting = True
        try:
            profiler = torch.profiler.profile(activities=activities, record_shapes=annotated)
            with without_profiler_noise():
                profiler.start()
        finally:
            self.starting = False
        self._role, self._profiler = role, profiler
        if annotated:
            self._lines = LineMarks(self._sites)
            if not self._lines.start():
                self._note("info", "the script is being traced (debugger, coverage), so operators have no source lines")
        self._begin_mark()
        self._start_ns = time.perf_counter_ns()

    def _close(self, now: int) -> None:
        profiler, role = self._profiler, self._role
        self._profiler, self._role = None, None
        assert role is not None
        self._end_lines()
        with without_profiler_noise():
            profiler.stop()
        recorded = profiler.profiler.kineto_results.events()
        events = len(recorded)
        if role == "annotated":
            self._keep_kernels(recorded, now - self._start_ns)
        path = None
        if role != "sizing":
            name = f"{platform.node()}_{os.getpid()}.{time.time_ns()}.{role}.pt.trace.json"
            path = self._folder / name
            with without_profiler_noise():
                profiler.export_chrome_trace(str(path))
        self._plan(role, events, (now - self._start_ns) / 1e9)
        window = Window(
            role=role,
            opened_ns=self._opened_ns - self._recorder.origin_ns,
            start_ns=self._start_ns - self._recorder.origin_ns,
            end_ns=now - self._recorder.origin_ns,
            resumed_ns=time.perf_counter_ns() - self._recorder.origin_ns,
            steps=self._steps_wanted if role == "clean" else 1,
            events=events,
            path=f"{self._folder.name}/{path.name}.gz" if path else None,
        )
        if path is None:
            self._write(window)
        else:
            self._pending.append((path, window))

    def _keep_kernels(self, recorded: Any, step_ns: int) -> None:
        try:
            kernels = KernelTimes(recorded)
            if not self._has_device():
                self.made = made_tensors(recorded)
                self.operators = step_operators(recorded)  # an accelerator's are not tried
                self.gathers = gathers(recorded)
        except Exception as error:  # the window stands on its own
            self._note("warning", f"shapes of operators could not be read: {type(error).__name__}: {error}")
            return
        if kernels.order:
            self.kernels, self.kernels_share = kernels, sum(kernels.spent_ns) / max(step_ns, 1)
            self._write(kernels.record)

    @staticmethod
    def _has_device() -> bool:
        import torch

        return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]

    def _plan(self, role: Role, events: int, step_s: float) -> None:
        self._next = _NEXT[role]
        if role == "sizing":
            by_events = EVENT_BUDGET // max(events, 1)
            by_time = int(MAX_CLEAN_S / max(step_s, 1e-6))
            self._steps_wanted = max(1, min(MAX_CLEAN_STEPS, by_events, by_time))
            self._annotate = events <= EVENT_BUDGET
            if events > 5 * EVENT_BUDGET:
                self._give_up(f"one step makes {events:,} profiler events: too many for a window")
        elif role == "clean" and not self._annotate:
            self._next = None
            self._note("info", "no annotated step was recorded: one step makes too many profiler events")

    def compress(self) -> None:
        """Compress traces that have been exported; called from the background thread and once at the end."""
        while self._pending:
            path, window = self._pending.pop()
            with path.open("rb") as plain, gzip.open(f"{path}.gz", "wb", compresslevel=1) as packed:
                shutil.copyfileobj(plain, packed, 1 << 20)
            path.unlink()
            self._write(window)

    def abandon(self, reason: str = "") -> None:
        """Drop an open window: the run is over, or the user starts a profiler."""
        profiler, self._profiler, self._next = self._profiler, None, None
        if profiler is not None:
            self._end_mark()
            self._end_lines()
            with without_profiler_noise():
                profiler.stop()
            if reason:
                self._note("info", reason)

    def _give_up(self, reason: str) -> None:
        self._profiler, self._next = None, None
        self._note("warning", reason)

    def _note(self, level: Literal["info", "warning"], text: str) -> None:
        at = time.perf_counter_ns() - self._recorder.origin_ns
        self._write(Note(at_ns=at, level=level, topic="window", text=text))

    def _end_lines(self) -> None:
        if self._lines is not None:
            self._lines.stop()
            self._lines = None

    def _begin_mark(self) -> None:
        import torch

        self._mark = torch._C._profiler._RecordFunctionFast(STEP_MARK)
        self._mark.__enter__()

    def _end_mark(self) -> None:
        if self._mark is not None:
            self._mark.__exit__(None, None, None)
            self._mark = None
