"""The part of the result document that holds a step as a timeline: what ran when, and where."""

from __future__ import annotations

from typing import Literal

import msgspec

LaneKind = Literal["host", "worker", "stream", "idle"]


def us(ns: float) -> float:
    """Nanoseconds as the document's microseconds, to the nanosecond."""
    return round(float(ns) / 1e3, 3)


class Lane(msgspec.Struct, kw_only=True):
    """One row of the timeline as cells in order of time: one entry a cell in each list.

    A cell is one event, or a few short neighbours: `count` of them, busy for `busy_us` of its extent. The sum of
    `busy_us` is the busy time of the row, whatever was merged.
    """

    kind: LaneKind
    label: str
    start_us: list[float]
    """From the start of the step."""
    end_us: list[float]
    busy_us: list[float]
    part: list[int]
    """The largest part of the cell, as a place in `StepTimeline.parts`."""
    count: list[int]
    name: list[int]
    """Its longest event, as a place in `StepTimeline.names`; -1: none."""
    mixed: dict[str, dict[str, float]]
    """Cells of several parts, by their place: part id → µs."""
    totals_us: dict[str, float]
    """Busy time of the row by part id."""


class Gap(msgspec.Struct, kw_only=True):
    """One stretch in which the whole device was idle; `site`: where on the host, `drained_by`: the call that waited."""

    start_us: float
    us: float
    cause: str
    drained_by: str
    site: str


class StepTimeline(msgspec.Struct, kw_only=True):
    """One step, event by event; neighbours shorter than `merged_below_us` are one cell, 0 where none had to be."""

    label: str
    span_us: float
    merged_below_us: float
    events: int
    parts: list[str]
    names: list[str]
    lanes: list[Lane]
    gaps: list[Gap]
    """The longest, longest first."""
    gaps_left_out: int
    queue_us: list[float]
    """Times at which `queue_depth`, the kernels that were launched and had not started, was taken."""
    queue_depth: list[int]
    steps_us: list[float] = []
    """Where further steps begin, where more than one is shown."""
