"""A timeline as the HTML page lays it out beside its chart: the legend, and the rows in figures."""

from __future__ import annotations

from slowprobe.report.device_words import is_idle
from slowprobe.report.timeline_document import Lane, StepTimeline
from slowprobe.report.timeline_words import label


def legend(step: StepTimeline) -> list[tuple[str, list[str]]]:
    """The parts in the timeline, those of the host, of its workers, of the device and of its idle time apart."""
    host = [part for part in step.parts if part.startswith(("host_", "loop_", "op_"))]
    workers = [part for part in step.parts if part.startswith("worker_")]
    idle = [part for part in step.parts if is_idle(part)]
    rest = [part for part in step.parts if part not in (*host, *workers, *idle)]
    named = [("Host", host), ("Workers", workers), ("Device", rest), ("Idle", idle)]
    return [(title, parts) for title, parts in named if parts]


def short_label(part: str) -> str:
    """A part under a heading that says already that it is idle time."""
    text = label(part)
    cause = text.removeprefix("Idle: ")
    return text if cause == text else cause[:1].upper() + cause[1:]


def lane_rows(lane: Lane) -> list[tuple[str, float]]:
    """What a row of the timeline adds up to: part and µs, the largest first."""
    return sorted(lane.totals_us.items(), key=lambda item: (-item[1], item[0]))
