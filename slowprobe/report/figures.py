"""The charts, as the plain data Plotly draws; colours are CSS variables that report.js resolves for the theme."""

from __future__ import annotations

from typing import Any

from slowprobe.report.device_figures import device_figures
from slowprobe.report.document import Document, Time, Window
from slowprobe.report.flame_figure import flame_chart
from slowprobe.report.icicle import Boxes, icicle
from slowprobe.report.palette import ink_variable, variable
from slowprobe.report.partition import labels, parts
from slowprobe.report.pipeline_figures import loader_figures
from slowprobe.report.pipeline_page import open_loaders
from slowprobe.report.quantities import milliseconds, percent, seconds
from slowprobe.report.resource_figures import resource_figures
from slowprobe.report.thinning import Thinned, thin
from slowprobe.report.timeline_figure import timeline
from slowprobe.report.untrusted import plain

Figure = dict[str, Any]

_STACKED = 9  # parts drawn by themselves in the step chart; the rest is one
_MOST_STRETCHES = 40
_TALL = 3.0  # a step this many times the 99th percentile would flatten the chart


def figures(document: Document) -> dict[str, Figure]:
    """Every chart this document has data for, by name."""
    drawn: dict[str, Figure] = {}
    if document.time.wall_s > 0 and document.time.buckets:
        drawn["time"] = partition(document.time)
    if document.series is not None and len(document.series.index) > 1:
        drawn["steps"] = steps(document)
    if document.timeline is not None and document.timeline.lanes:
        drawn["host-step"] = timeline(document.timeline)
    if document.window is not None and document.window.classes:
        drawn["ops"] = op_classes(document.window)
    if document.window is not None and document.window.timeline is not None and document.window.timeline.lanes:
        drawn["op-step"] = timeline(document.window.timeline)
    if document.flame is not None and len(document.flame.parent) > 1:
        drawn["flame"] = flame_chart(document.flame)
    drawn |= resource_figures(document.resources)
    return drawn | loader_figures(open_loaders(document)) | device_figures(document.device)


def partition(time: Time) -> Figure:
    """run → scopes → buckets: every row is the whole wall clock."""
    boxes = Boxes()
    boxes.add("run", "Whole run", "", 0.0, f"{seconds(time.wall_s)} · 100 %", "var(--chart-root)", "var(--ink)")
    for part in parts(time):
        if part.seconds <= 0:
            continue
        text = f"{seconds(part.seconds)} · {percent(part.share)}"
        boxes.add(part.scope, part.label, "run", 0.0, text, "var(--chart-scope)", "var(--ink)")
        for number, bucket in enumerate(part.buckets):
            if bucket.seconds > 0:
                text = f"{seconds(bucket.seconds)} · {percent(bucket.share)}"
                id, label = f"{part.scope}/{number}", plain(bucket.label, 40)
                boxes.add(id, label, part.scope, bucket.seconds, text, variable(bucket.id), ink_variable(bucket.id))
    return icicle(
        boxes,
        letters=13,
        pad=2,
        texttemplate="%{label}<br>%{customdata}",
        textposition="middle center",
        pathbar={"visible": False},
    )


def steps(document: Document) -> Figure:
    """Every recorded step: its parts stacked, the slow ones kept, the unsteady ones faded."""
    series = document.series
    assert series is not None
    data = thin(series)
    x = [(first + last) / 2 for first, last in zip(data.first, data.last, strict=False)]
    top = _top_ms(document, data)
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines",
            "stackgroup": "parts",
            "name": name,
            "x": x,
            "y": [round(value, 4) for value in column],
            "line": {"width": 0, "shape": "hvh", "color": colour},
            "fillcolor": colour,
            "hovertemplate": "%{y:.3~s} ms",
        }
        for name, colour, column in _stack(document, data)
    ]
    traces += [_whole_step(x, data), *_slow_steps(x, data, top)]
    return {
        "data": traces,
        "layout": {
            "margin": {"l": 52, "r": 8, "t": 14, "b": 40},
            "hovermode": "x unified",
            "legend": {"orientation": "h", "y": -0.2, "x": 0, "traceorder": "normal"},
            "xaxis": {
                "title": {"text": "step", "standoff": 6},
                "unifiedhovertitle": {"text": "step %{x}" if data.group == 1 else f"{data.group} steps around %{{x}}"},
                "range": [data.first[0] - 0.5, data.last[-1] + 0.5],
                "zeroline": False,
            },
            "yaxis": {"title": {"text": "ms a step"}, "range": [0, top], "rangemode": "tozero"},
            "shapes": [_faded(first, last) for first, last in _merged(data.unsteady)],
        },
    }


def _stack(document: Document, data: Thinned) -> list[tuple[str, str, list[float]]]:
    """Name, colour and column of each layer, the largest at the bottom; what the parts leave of the wall is on top."""
    names = labels(document)
    ranked = sorted(data.parts.items(), key=lambda item: (-sum(item[1]), item[0]))
    ranked = [(name, column) for name, column in ranked if sum(column) > 0]
    own, small = ranked[:_STACKED], ranked[_STACKED:]
    layers = [(plain(names.get(name, name), 32), variable(name), column) for name, column in own]
    if small:
        rest = [sum(values) for values in zip(*(column for _, column in small), strict=False)]
        layers.append((f"{len(small)} smaller parts", variable("other"), rest))
    stacked = [sum(values) for values in zip(*(column for _, _, column in layers), strict=False)] or [0.0] * len(
        data.first
    )
    left = [max(0.0, wall - part) for wall, part in zip(data.wall_ms, stacked, strict=False)]
    if sum(left) > 0.002 * sum(data.wall_ms):
        layers.append(
            ("whole step" if not layers else "not explained", variable("unaccounted" if layers else "forward"), left)
        )
    return layers


def _whole_step(x: list[float], data: Thinned) -> Figure:
    """Draws nothing; it puts the whole step into the box shown under the pointer."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "whole step" if data.group == 1 else "whole step, mean",
        "x": x,
        "y": [round(value, 4) for value in data.wall_ms],
        "line": {"width": 0, "color": "var(--ink)"},
        "showlegend": False,
        "hovertemplate": "<b>%{y:.3~s} ms</b>",
    }


def _slow_steps(x: list[float], data: Thinned, top: float) -> list[Figure]:
    """Marks for steps that the stack hides: the slowest of a run of steps, and any taller than the chart."""
    inside = [
        (x[place], value, data.slowest[place], value)
        for place, value in enumerate(data.slowest_ms)
        if data.group > 1 and 1.25 * data.wall_ms[place] < value <= top
    ]
    above = [
        (x[place], top * 0.97, data.slowest[place], value) for place, value in enumerate(data.slowest_ms) if value > top
    ]
    marks = [
        (inside, "circle", 4, f"slowest of each {data.group} steps"),
        (above, "triangle-up", 9, "taller than the chart"),
    ]
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [row[0] for row in rows],
            "y": [round(row[1], 4) for row in rows],
            "customdata": [f"step {row[2]:,}: {milliseconds(row[3])}" for row in rows],
            "marker": {"symbol": symbol, "size": size, "color": "var(--chart-mark)"},
            "hovertemplate": "%{customdata}",
        }
        for rows, symbol, size, name in marks
        if rows
    ]


def _top_ms(document: Document, data: Thinned) -> float:
    highest = max([*data.slowest_ms, *data.wall_ms], default=0.0)
    usual = document.steps.p99_ms if document.steps is not None else 0.0
    if not usual > 0:
        ranked = sorted(data.wall_ms)
        usual = ranked[int(0.9 * (len(ranked) - 1))]
    return usual * 1.6 if usual > 0 and highest > _TALL * usual else highest * 1.06 or 1.0


def _merged(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """At most a few dozen stretches: the longest ones, since each is an element of the page."""
    kept = sorted(stretches, key=lambda stretch: (stretch[0] - stretch[1], stretch[0]))[:_MOST_STRETCHES]
    return sorted(kept)


def _faded(first: int, last: int) -> Figure:
    return {
        "type": "rect",
        "xref": "x",
        "yref": "paper",
        "x0": first - 0.5,
        "x1": last + 0.5,
        "y0": 0,
        "y1": 1,
        "layer": "above",
        "line": {"width": 0},
        "fillcolor": "var(--chart-wash)",
    }


def op_classes(window: Window) -> Figure:
    """Self time a step of each kind of operator, the largest on top."""
    shown = sorted(window.classes, key=lambda kind: -kind.ms_per_step if kind.ms_per_step > 0 else 0.0)[:12][::-1]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "y": [f"{number}" for number in range(len(shown))],
                "x": [kind.ms_per_step if kind.ms_per_step > 0 else 0 for kind in shown],
                "text": [f"{milliseconds(kind.ms_per_step)} · {percent(kind.share)}" for kind in shown],
                "textposition": "auto",
                "insidetextfont": {"color": ink_variable("forward")},
                "outsidetextfont": {"color": "var(--ink)"},
                "cliponaxis": False,
                "marker": {"color": "var(--bucket-forward)"},
                "customdata": [f"{plain(kind.name)}<br>{kind.count_per_step:,.0f} calls a step" for kind in shown],
                "hovertemplate": "%{customdata}<br>%{text}<extra></extra>",
            }
        ],
        "layout": {
            "height": 46 + 30 * len(shown),
            "margin": {"l": 8, "r": 8, "t": 4, "b": 36},
            "bargap": 0.3,
            "xaxis": {"title": {"text": "ms a step"}, "rangemode": "tozero"},
            "yaxis": {
                "type": "category",
                "tickmode": "array",
                "tickvals": [f"{number}" for number in range(len(shown))],
                "ticktext": [plain(kind.name, 28) for kind in shown],
                "automargin": True,
                "showgrid": False,
            },
        },
    }
