"""The chart of one step: a row for each thread, worker and stream, one for idle gaps, the launch queue."""

from __future__ import annotations

import math
from collections.abc import Sized
from typing import Any

from slowprobe.report.device_words import is_idle, short_kernel
from slowprobe.report.palette import variable
from slowprobe.report.quantities import percent, seconds
from slowprobe.report.timeline_document import Lane, StepTimeline
from slowprobe.report.timeline_words import bucket, label
from slowprobe.report.untrusted import plain

Figure = dict[str, Any]

_LANE = 44  # pixels of a row: its label and its bar
_BAR = 0.56  # of a row
_QUEUE = 54  # pixels
_GROUP_GAP = 0.35  # of a row, between host, streams and idle
_PALEST = 0.15  # opacity of a cell that is nearly empty
_TEXT = 48  # characters of a name: most of the chart's bytes are these
_MOST_MIXED = 3
HATCHED = {"shape": "/", "size": 5, "solidity": 0.35, "fgcolor": "var(--card)", "fillmode": "overlay"}
"""Plotly's pattern for time in which nothing ran."""


def timeline(step: StepTimeline) -> Figure:
    """Rows of cells: host threads, streams, idle gaps; the launch queue below them on the same axis."""
    scale, unit = scaled(step.span_us)
    places = _places(step.lanes)
    height = _LANE * (places[-1] + 1)
    below = _QUEUE + 26 if any(step.queue_depth) else 0
    base = below / (height + below)
    traces = [_cells(step, cells, part, scale, unit) for part, cells in _by_part(step, places)]
    labels = [_label(plain(lane.label, 44), place, "y") for lane, place in zip(step.lanes, places, strict=True)]
    layout: Figure = {
        "height": round(height + below + 62),
        "margin": {"l": 8, "r": 8, "t": 6, "b": 44},
        "barmode": "overlay",
        "bargap": 0,
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "dragmode": "zoom",
        "xaxis": {
            "title": {"text": f"{unit} from the start of {plain(step.label)}", "standoff": 6},
            "range": [0, step.span_us / scale],
            "zeroline": False,
            "anchor": "y2" if below else "y",
        },
        "yaxis": {
            "range": [places[-1] + 0.62, -0.5],
            "domain": [base, 1],
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
            "showticklabels": False,
        },
        "annotations": labels,
    }
    layout["shapes"] = [_step_mark(round(at_us / scale, 5)) for at_us in step.steps_us]
    if below:
        deepest = max(step.queue_depth)
        traces.append(_queue(step, scale))
        layout["annotations"] = [*labels, {**_label(f"Kernels launched, not started: at most {deepest:,}", 0, "y2")}]
        layout["annotations"][-1] |= {"yref": "paper", "y": _QUEUE / (height + below), "yanchor": "bottom", "yshift": 2}
        layout["yaxis2"] = {
            "domain": [0, _QUEUE / (height + below)],
            "range": [0, 1.05 * deepest],
            "fixedrange": True,
            "showgrid": False,
            "showticklabels": False,
            "zeroline": True,
        }
    return {"data": traces, "layout": layout}


def scaled(longest_us: float) -> tuple[float, str]:
    """In which unit times of up to this length are drawn: µs a unit, and its name."""
    if longest_us >= 5e6:
        return 1e6, "s"
    return (1e3, "ms") if longest_us >= 2_000 else (1.0, "µs")


def _places(lanes: list[Lane]) -> list[float]:
    """Heights of the rows from the top, in rows; a little air between the groups."""
    places, at = [], 0.0
    for number, lane in enumerate(lanes):
        if number:
            at += 1 + (_GROUP_GAP if lane.kind != lanes[number - 1].kind else 0)
        places.append(at)
    return places


def _by_part(step: StepTimeline, places: list[float]) -> list[tuple[int, list[tuple[Lane, float, int]]]]:
    """The cells of each part, so that a part is one trace of one colour."""
    cells: dict[int, list[tuple[Lane, float, int]]] = {}
    for lane, place in zip(step.lanes, places, strict=True):
        columns: tuple[Sized, ...] = (lane.start_us, lane.end_us, lane.busy_us, lane.count, lane.name)
        for cell, part in enumerate(lane.part[: min(map(len, columns))]):
            cells.setdefault(part, []).append((lane, place, cell))
    return sorted(cells.items())


def _cells(step: StepTimeline, cells: list[tuple[Lane, float, int]], part: int, scale: float, unit: str) -> Figure:
    name = step.parts[part] if 0 <= part < len(step.parts) else "other"
    said = plain(label(name))
    extents = [lane.end_us[cell] - lane.start_us[cell] for lane, _, cell in cells]
    full = [
        min(lane.busy_us[cell] / extent, 1.0) if extent > 0 else 1.0
        for (lane, _, cell), extent in zip(cells, extents, strict=True)
    ]
    marker: Figure = {"color": variable(bucket(name)), "line": {"width": 0}}
    if min(full) < 0.98:
        marker["opacity"] = [round(_PALEST + (1 - _PALEST) * share, 2) for share in full]
    if is_idle(name):
        marker["pattern"] = HATCHED
    return {
        "type": "bar",
        "orientation": "h",
        "name": said,
        "base": [_short(lane.start_us[cell] / scale) for lane, _, cell in cells],
        "x": [_short(extent / scale) for extent in extents],
        "y": [place for _, place, _ in cells],
        "width": _BAR,
        "offset": -0.12,
        "marker": marker,
        "customdata": [_told(step, lane, cell) for lane, _, cell in cells],
        "hovertemplate": "<br>".join(
            [f"<b>{said}</b>", "%{customdata[0]}", "%{customdata[1]}", f"at %{{base:.5~g}} {unit}<extra></extra>"]
        ),
    }


def _told(step: StepTimeline, lane: Lane, cell: int) -> list[str]:
    """What a cell says under the pointer, below the name of its part: two lines, since markup costs bytes in JSON."""
    busy, count, number = lane.busy_us[cell], lane.count[cell], lane.name[cell]
    name = step.names[number] if 0 <= number < len(step.names) else ""
    if count == 1:
        return [
            seconds(busy / 1e6),
            plain(_kernel(name) if lane.kind == "stream" else name, _TEXT),
        ]
    extent = lane.end_us[cell] - lane.start_us[cell]
    filled = f", {percent(busy / extent)} filled" if extent > 0 else ""
    mixed = sorted(lane.mixed.get(str(cell), {}).items(), key=lambda item: -item[1])
    return [
        f"{count:,} short ones in {seconds(extent / 1e6)}{filled}",
        plain(", ".join(f"{label(each)} {seconds(us / 1e6)}" for each, us in mixed[:_MOST_MIXED]), 100),
    ]


def _kernel(name: str) -> str:
    return short_kernel(name).replace("<…>", "").replace("…>", "").replace("<", " ")


def _step_mark(x: float) -> Figure:
    """A line where the next step begins."""
    line = {"width": 1, "color": "var(--muted)", "dash": "dot"}
    return {"type": "line", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "line": line}


def _queue(step: StepTimeline, scale: float) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [_short(us / scale) for us in (*step.queue_us, step.span_us)],
        "y": [*step.queue_depth, step.queue_depth[-1]],
        "yaxis": "y2",
        "line": {"width": 1, "shape": "hv", "color": "var(--bucket-framework)"},
        "fill": "tozeroy",
        "fillcolor": "var(--bucket-framework)",
        "hovertemplate": "%{y:,} kernels waiting<extra></extra>",
    }


def _label(text: str, place: float, axis: str) -> Figure:
    return {
        "text": text,
        "xref": "paper",
        "yref": axis,
        "x": 0,
        "y": place - 0.12,
        "xanchor": "left",
        "yanchor": "bottom",
        "yshift": 0,
        "showarrow": False,
        "font": {"color": "var(--muted)", "size": 11.5},
    }


def _short(value: float) -> float:
    """Enough digits for a chart: 10 ns in ms."""
    return round(value, 5) if math.isfinite(value) else 0.0
