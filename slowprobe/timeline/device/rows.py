"""Everything that ran on the device, selected by category: kernels, copies and memsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.trace.reader import Bools, Ints, Trace

Int8s = npt.NDArray[np.int8]

KINDS = ("compute", "communication", "copy")
COPIES = ("none", "h2d_pageable", "h2d_pinned", "d2h_pageable", "d2h_pinned", "d2d", "p2p", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRows:
    """Device activity of one rank in order of start; all columns have one entry a row."""

    row: Ints
    """Into the trace."""
    start_ns: Ints
    end_ns: Ints
    kind: Int8s
    """Into `KINDS`. A memset is compute."""
    class_id: Int8s
    """Into `slowprobe.timeline.device.classes.CLASSES`."""
    tensor_cores: Bools
    stream: Ints
    device: Ints
    launch: Ints
    """Row of the runtime or driver call that launched it; `MISSING` where the trace has none."""
    operator: Ints
    """Row of the innermost operator around that call; `MISSING` where there is none."""
    copy_kind: Int8s
    """Into `COPIES`; "none" for what is no copy."""

    def __len__(self) -> int:
        return len(self.start_ns)

    def of_device(self, device: int) -> DeviceRows:
        """The rows of one device."""
        raise NotImplementedError


def device_rows(trace: Trace) -> DeviceRows:
    """All device activity of a trace; empty where it has none."""
    raise NotImplementedError
