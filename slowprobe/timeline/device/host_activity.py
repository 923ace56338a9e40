"""What the host did for the device in a typical step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.claims import launching_threads
from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.intervals import Cover
from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.timeline.device.steps import TraceSteps
from slowprobe.trace.reader import MISSING, Bools, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class HostActivity:
    """What the host did for the device. Medians over the steps; over the whole span where there are none.

    Times are of the launching threads together: what one of them does counts once, as the first of data, sync, launch,
    op that holds for any.
    """

    launch_thread: int
    """tid of the thread with the most launches; `MISSING` without launches."""
    launch_threads: tuple[int, ...]
    """All threads that launched, the busiest first."""
    ops_per_step: float
    """Outermost operators and those nested in them, on the launching threads."""
    launches_per_step: float
    data_ns: float
    """In requests for data."""
    sync_ns: float
    """In synchronising calls."""
    launch_ns: float
    """In launch calls (kernels, copies, memsets)."""
    op_ns: float
    """In operators otherwise."""
    python_ns: float
    """The rest of the step."""
    step_ns: float


def host_activity(host: Host, rows: DeviceRows, steps: TraceSteps) -> HostActivity:
    """Of the threads that launched these rows."""
    trace = host.trace
    launching = launching_threads(host, rows)
    launched = rows.launch[rows.launch >= 0]
    theirs = np.isin(host.threads, launching)
    referenced = np.zeros(len(trace), dtype=np.bool_)
    referenced[launched] = True
    if len(steps):
        start, end = steps.start_ns, steps.end_ns
    else:
        start, end = rows.start_ns.min(keepdims=True), rows.end_ns.max(keepdims=True)
    # Each kind's share is what it adds to the cover of those before it.
    layers = (host.data, theirs & host.syncs, theirs & referenced, theirs & host.operators)
    covered = np.zeros(len(start), dtype=np.int64)
    shares = []
    mask = np.zeros(len(trace), dtype=np.bool_)
    for layer in layers:
        mask = mask | layer
        grown = Cover(trace.start_ns[mask], trace.ends_of(mask)).within(start, end)
        shares.append(float(np.median(grown - covered)))
        covered = grown
    names = [int(trace.tid[np.flatnonzero(host.threads == thread)[0]]) for thread in launching.tolist()]
    return HostActivity(
        launch_thread=names[0] if len(launched) else MISSING,
        launch_threads=tuple(names) if len(launched) else (),
        ops_per_step=_count(trace.start_ns, theirs & host.operators, start, end),
        launches_per_step=_count(trace.start_ns, referenced, start, end),
        data_ns=shares[0],
        sync_ns=shares[1],
        launch_ns=shares[2],
        op_ns=shares[3],
        python_ns=float(np.median(end - start - covered)),
        step_ns=float(np.median(end - start)),
    )


def _count(times: Ints, mask: Bools, start: Ints, end: Ints) -> float:
    inside = times[mask]
    return float(np.median(np.searchsorted(inside, end) - np.searchsorted(inside, start)))
