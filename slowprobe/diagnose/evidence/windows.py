"""What the profiler recorded in a few steps."""

from __future__ import annotations

from functools import cached_property
from typing import NoReturn

from slowprobe.diagnose.evidence.missing import EvidenceMissing
from slowprobe.diagnose.evidence.recorded import RecordedRun
from slowprobe.diagnose.evidence.tensors import TensorEvidence
from slowprobe.errors import SlowprobeError
from slowprobe.run.schema import Window
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.device_window import DeviceWindow, read_device_window
from slowprobe.timeline.hotspots import UserCode
from slowprobe.timeline.ops import OpWindow, read_window


class WindowEvidence(TensorEvidence, RecordedRun):
    """What the profiler recorded in a few steps."""

    @cached_property
    def windows(self) -> dict[str, Window]:
        """The profiler windows by role."""
        return {window.role: window for window in self.run.of(Window)}

    @cached_property
    def ops(self) -> OpWindow:
        """Operators in the profiler window."""
        clean, annotated = self.windows.get("clean"), self.windows.get("annotated")
        if clean is None or clean.path is None or not (self.run.folder / clean.path).is_file():
            raise EvidenceMissing("no profiler window was recorded")
        path = self.run.folder / annotated.path if annotated is not None and annotated.path else None
        try:
            return read_window(
                self.run.folder / clean.path,
                path if path is not None and path.is_file() else None,
                UserCode(self.run.manifest),
            )
        except SlowprobeError as error:
            raise EvidenceMissing(str(error)) from None

    @cached_property
    def device_window(self) -> DeviceWindow | None:
        """The profiler window of a run that has an accelerator; None without one, or where it did nothing."""
        if not self.settings.get("devices"):
            return None
        return self._read("clean")

    @cached_property
    def shaped_window(self) -> DeviceWindow | None:
        """One step with shapes and lines, later than those of `device_window`."""
        return None if self.device_window is None else self._read("annotated")

    def _read(self, role: str) -> DeviceWindow | None:
        window = self.windows.get(role)
        if window is None or window.path is None or not (self.run.folder / window.path).is_file():
            raise EvidenceMissing("no profiler window was recorded")
        try:
            return read_device_window(self.run.folder / window.path)
        except SlowprobeError as error:
            raise EvidenceMissing(str(error)) from None

    @property
    def device(self) -> DeviceFacts | None:
        """What the accelerator did in the profiler window; None where there is none."""
        return None if self.device_window is None else self.device_window.facts

    @property
    def ranks(self) -> NoReturn:
        """Several ranks are compared by ``slowprobe analyze``."""
        raise EvidenceMissing("one rank was recorded; slowprobe analyze compares the traces of several")
