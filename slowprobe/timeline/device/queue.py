"""How far ahead of the device the host launches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.device.intervals import Cover
from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.trace.reader import Bools, Ints, Trace

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LaunchQueue:
    """How long device rows waited between launch and start."""

    delay_ns: Floats
    """Per device row: its start − the end of its launch; NaN without a launch."""
    time_ns: Ints
    depth: Ints
    """Launched and not yet started, from each time to the next."""
    unlaunched: int
    """Device rows without a launch in the trace."""

    def depth_at(self, times: Ints) -> Ints:
        """The depth at each time; 0 outside the trace."""
        if not len(self.time_ns):
            return np.zeros_like(times)
        at = np.searchsorted(self.time_ns, times, side="right") - 1
        return np.where(at >= 0, self.depth[np.maximum(at, 0)], 0)


def launch_queue(trace: Trace, rows: DeviceRows) -> LaunchQueue:
    """The queue over time, of all streams."""
    launched = rows.launch >= 0
    ready = trace.ends_of(np.maximum(rows.launch, 0))
    delay_ns = np.where(launched, rows.start_ns - ready, np.nan).astype(np.float64)
    enters, leaves = _waits(rows, ready, launched)
    time_ns = np.concatenate([enters, leaves])
    order = np.argsort(time_ns, kind="stable")
    depth = np.cumsum(np.concatenate([np.ones_like(enters), -np.ones_like(leaves)])[order])
    time_ns = time_ns[order]
    last = np.append(np.diff(time_ns) > 0, True) if len(time_ns) else np.empty(0, dtype=np.bool_)
    return LaunchQueue(delay_ns, time_ns[last], depth[last], int((~launched).sum()))


def pending(trace: Trace, rows: DeviceRows) -> Cover:
    """When something launched had not started yet."""
    launched = rows.launch >= 0
    return Cover(*_waits(rows, trace.ends_of(np.maximum(rows.launch, 0)), launched))


def _waits(rows: DeviceRows, ready: Ints, launched: Bools) -> tuple[Ints, Ints]:
    # A kernel may start before its launch call returns: then it never waited.
    waited = launched & (rows.start_ns > ready)
    return ready[waited], rows.start_ns[waited]
