"""How far ahead of the device the host launches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.trace.reader import Ints, Trace

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


def launch_queue(trace: Trace, rows: DeviceRows) -> LaunchQueue:
    """The queue over time, of all streams."""
    raise NotImplementedError
