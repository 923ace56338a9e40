"""Which call the host was waiting in when the device ran dry."""

from __future__ import annotations

import numpy as np

from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.intervals import Cover
from slowprobe.timeline.device.nesting import Nesting
from slowprobe.timeline.device.rows import COPY, DeviceRows
from slowprobe.trace.reader import MISSING, Bools, Ints


def waiting_calls(host: Host, rows: DeviceRows) -> Bools:
    """Rows of the trace in which the host waits for the device: by their name, or because a copy ended in them.

    Where the trace has no calls of the runtime, reading a scalar stands for them.
    """
    trace = host.trace
    calls = host.syncs.copy()
    copies = (rows.kind == COPY) & (rows.launch >= 0)
    launch, done = rows.launch[copies], rows.end_ns[copies]
    calls[launch[trace.ends_of(launch) >= done]] = True  # as from pageable memory
    if not calls.any():
        calls = host.operators & trace.matches(lambda name: name == "aten::_local_scalar_dense")
    return calls


def draining_calls(host: Host, calls: Bools, launching: Ints, start: Ints, end: Ints, waiting: Cover) -> Ints:
    """Of each gap: the call that a launching thread was in when the last row ended, with nothing else launched.

    What begins before the call returns was launched already, even if the trace has lost its launch.
    """
    trace = host.trace
    nesting = Nesting(trace, host.threads, calls & np.isin(host.threads, launching))
    found = np.full(len(start), MISSING, dtype=np.int64)
    for thread in launching.tolist():
        # A call that begins as the gap does drained nothing; one that returns in that instant did.
        open_row = nesting.row_of(nesting.at(np.full(len(start), thread), start - 1))
        found = np.where(found >= 0, found, open_row)
    known = (found >= 0) & (trace.ends_of(np.maximum(found, 0)) <= end) & ~waiting.contains(start)
    return np.where(known, found, MISSING)
