"""The steps of a trace, by the best marks that it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from slowprobe.timeline.device.host import Host
from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.trace.reader import Bools, Ints, Trace

StepBasis = Literal["slowprobe.step", "ProfilerStep", "optimizer", "dataloader", "none"]
MARKED: tuple[StepBasis, ...] = ("slowprobe.step", "ProfilerStep")
"""Bases whose steps have an end of their own, so that what is between them is no step."""
_REQUEST, _OPTIMIZER = "enumerate(DataLoader)#", "Optimizer.step#"


@dataclass(frozen=True, slots=True)
class TraceSteps:
    """Whole steps in order: [start, end) on the host's clock."""

    start_ns: Ints
    end_ns: Ints
    number: Ints
    """As the trace numbers them; from 0 where it does not."""
    basis: StepBasis
    left_out: tuple[str, ...]
    """What was left out and why, one sentence each."""

    def __len__(self) -> int:
        return len(self.start_ns)


def trace_steps(trace: Trace, rows: DeviceRows, host: Host | None = None) -> TraceSteps:
    """Finds the steps; none where nothing marks them.

    Marks are annotations of the host: their copies among the device's rows (`gpu_user_annotation`) are no steps.
    Without marks of steps, a step runs from one request for a batch to the next that follows an optimizer step, or from
    one optimizer step to the next.
    """
    annotations = (host or Host(trace)).annotations
    for basis in MARKED:
        mask = annotations & trace.matches(lambda name, basis=basis: name.partition("#")[0] == basis)  # type: ignore[misc]
        if mask.any():
            return _marked(trace, rows, mask, basis)
    optimizer = annotations & trace.matches(lambda name: name.startswith(_OPTIMIZER))
    requests = annotations & trace.matches(lambda name: name.startswith(_REQUEST))
    bounds: list[tuple[Ints, StepBasis]] = []
    if requests.any():
        bounds.append((_first_requests(trace, requests, optimizer), "dataloader"))
    if optimizer.any():
        bounds.append((np.sort(trace.ends_of(_of_one_name(trace, optimizer))), "optimizer"))
    for marks, between in bounds:
        if len(marks) > 1:
            return _between(marks, between)
    none = np.empty(0, dtype=np.int64)
    return TraceSteps(none, none, none, "none", ("The trace marks no steps: figures are of its whole span.",))


def _marked(trace: Trace, rows: DeviceRows, mask: Bools, basis: StepBasis) -> TraceSteps:
    at = np.flatnonzero(mask)
    start, end = trace.start_ns[at], trace.ends_of(at)
    names = [trace.names[name] for name in trace.name_id[at].tolist()]
    number = np.array([_number(name, i) for i, name in enumerate(names)], dtype=np.int64)
    keep = np.ones(len(at), dtype=np.bool_)
    # The same mark on another thread, or written in two categories, overlaps the first.
    reach = np.maximum.accumulate(end)
    keep[1:] = start[1:] >= reach[:-1]
    left_out = []
    launched = rows.launch >= 0
    work = np.sort(trace.start_ns[rows.launch[launched]]) if launched.any() else rows.start_ns
    works = np.searchsorted(work, end) - np.searchsorted(work, start)
    for i in np.flatnonzero(keep).tolist():
        if len(work) and not works[i]:
            keep[i] = False
            left_out.append(
                f"{names[i]} launched nothing on the device: a recording that was just beginning or ending."
            )
    if trace.warnings and keep.any():
        # The end of a damaged file is lost: the last step in it may lack rows.
        last = int(np.flatnonzero(keep)[-1])
        if int(trace.end_ns.max()) <= int(end[last]):
            keep[last] = False
            left_out.append(f"{names[last]} is cut off: the file is damaged.")
    kept = np.flatnonzero(keep)
    left_out += _edges(work, start[kept], end[kept])
    return TraceSteps(start[kept], end[kept], number[kept], basis, tuple(left_out))


def _number(name: str, default: int) -> int:
    text = name.partition("#")[2].strip()
    return int(text) if text.isdecimal() else default


def _edges(work: Ints, start: Ints, end: Ints) -> list[str]:
    """Device work that was launched outside the first to the last step."""
    if not len(start) or not len(work):
        return []
    before, after = int((work < start[0]).sum()), int((work >= end[-1]).sum())
    told = []
    if before:
        told.append(f"{before} {_launches(before)} came before the first whole step.")
    if after:
        told.append(f"{after} {_launches(after)} came after the last whole step.")
    return told


def _launches(count: int) -> str:
    return "launch" if count == 1 else "launches"


def _first_requests(trace: Trace, requests: Bools, optimizer: Bools) -> Ints:
    """Starts of the requests that open a step: with accumulation, several batches go into one optimizer step."""
    starts: Ints = np.sort(trace.start_ns[_of_one_name(trace, requests)])
    if not optimizer.any():
        return starts
    done = np.searchsorted(np.sort(trace.ends_of(optimizer)), starts, side="right")
    opening: Ints = starts[np.append(True, np.diff(done) > 0)]
    return opening


def _of_one_name(trace: Trace, mask: Bools) -> Ints:
    """Rows of the most frequent name among these: two optimizers of one loop do not make two steps."""
    at = np.flatnonzero(mask)
    ids, counts = np.unique(trace.name_id[at], return_counts=True)
    named: Ints = at[trace.name_id[at] == ids[np.argmax(counts)]]
    return named


def _between(bounds: Ints, basis: StepBasis) -> TraceSteps:
    what = "request for a batch" if basis == "dataloader" else "optimizer step"
    count = len(bounds) - 1
    left_out = (f"What comes before the first {what} and after the last is part of no whole step.",)
    return TraceSteps(bounds[:-1], bounds[1:], np.arange(count, dtype=np.int64), basis, left_out)
