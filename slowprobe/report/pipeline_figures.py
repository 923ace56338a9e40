"""The charts of a loader: its waits over time, and predicted time a batch against num_workers."""

from __future__ import annotations

import math
from typing import Any

from slowprobe.report.document import StepSeries
from slowprobe.report.loader_document import Loader, WorkerCurve
from slowprobe.report.quantities import milliseconds
from slowprobe.report.thinning import thin

Figure = dict[str, Any]

_POINTS = 400
_MOST_MARKS = 60  # passes marked; of more, those with the longest first waits
_TALL = 3.0  # a wait this many times the 99th percentile would flatten the chart


def loader_figures(loaders: list[Loader]) -> dict[str, Figure]:
    """The charts that these loaders have data for, numbered in their order."""
    drawn: dict[str, Figure] = {}
    for number, loader in enumerate(loaders):
        if loader.waits is not None and len(loader.waits.wait_ms) > 1:
            drawn[f"waits-{number}"] = waits(loader)
        if loader.curve is not None and len(loader.curve.points) > 1:
            drawn[f"curve-{number}"] = curve(loader.curve, _step_ms(loader))
    return drawn


def waits(loader: Loader) -> Figure:
    """Every recorded wait; the first batch of each pass marked."""
    recorded = loader.waits
    assert recorded is not None
    values = [value if math.isfinite(value) and value > 0 else 0.0 for value in recorded.wait_ms]
    count = len(values)
    index = recorded.index if len(recorded.index) == count else list(range(count))
    data = thin(
        StepSeries(index=index, start_s=[], wall_ms=values, steady=[True] * count, parts={}, thinned=False), _POINTS
    )
    ranked = sorted(values)
    usual, highest = ranked[int(0.99 * (count - 1))], ranked[-1]
    top = (1.6 * usual if 0 < usual * _TALL < highest else 1.08 * highest) or 1.0
    x = [(first + last) / 2 for first, last in zip(data.first, data.last, strict=True)]
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "wait" if data.group == 1 else f"wait, mean of {data.group} batches",
            "x": x,
            "y": [round(value, 4) for value in data.wall_ms],
            "line": {"width": 1, "shape": "hvh", "color": "var(--bucket-data-wait)"},
            "fill": "tozeroy",
            "fillcolor": "var(--bucket-data-wait)",
            "hovertemplate": "batch %{x}: %{y:.3~s} ms<extra></extra>",
        }
    ]
    opening = [place for place in recorded.first_of_pass if 0 <= place < count]
    opening = sorted(sorted(opening, key=lambda place: -values[place])[:_MOST_MARKS])
    if opening:
        traces.append(_marks("first batch of a pass", "diamond", 9, opening, index, values, top))
    slow = {place for place, value in enumerate(values) if value > top} - set(opening)
    if slow:
        shown = sorted(sorted(slow, key=lambda place: -values[place])[:_MOST_MARKS])
        traces.append(_marks("taller than the chart", "triangle-up", 8, shown, index, values, top))
    return {
        "data": traces,
        "layout": {
            "margin": {"l": 48, "r": 8, "t": 8, "b": 38},
            "hovermode": "closest",
            "showlegend": len(traces) > 1,
            "legend": {"orientation": "h", "y": 1.14, "x": 0},
            "xaxis": {
                "title": {"text": "batch", "standoff": 6},
                "range": [x[0] - 0.5, x[-1] + 0.5],
                "zeroline": False,
                "showgrid": False,
            },
            "yaxis": {"title": {"text": "ms waited"}, "range": [0, top]},
        },
    }


def _marks(
    name: str, symbol: str, size: int, places: list[int], index: list[int], values: list[float], top: float
) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [index[place] for place in places],
        "y": [round(min(values[place], 0.97 * top), 4) for place in places],
        "customdata": [f"batch {index[place]:,}: {milliseconds(values[place])}" for place in places],
        "marker": {
            "symbol": symbol,
            "size": size,
            "color": "var(--bucket-loader-start)" if symbol == "diamond" else "var(--chart-mark)",
            "line": {"width": 1, "color": "var(--card)"},
        },
        "cliponaxis": False,
        "hovertemplate": f"{name}<br>%{{customdata}}<extra></extra>",
    }


def curve(of: WorkerCurve, step_ms: float | None) -> Figure:
    """The predicted time with its range; the present and the recommended setting marked, the step alone as a floor."""
    points = [point for point in of.points if math.isfinite(point.low_ms + point.expected_ms + point.high_ms)]
    x = [point.num_workers for point in points]
    top = 1.3 * max((point.high_ms for point in points), default=1.0) or 1.0
    line = {"type": "scatter", "mode": "lines", "x": x, "hoverinfo": "skip", "line": {"width": 0}}
    traces: list[Figure] = [
        {**line, "y": [point.low_ms for point in points]},
        {**line, "y": [point.high_ms for point in points], "fill": "tonexty", "fillcolor": "var(--chart-band)"},
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": x,
            "y": [point.expected_ms for point in points],
            "customdata": [
                f"num_workers={point.num_workers}<br>{milliseconds(point.expected_ms)} "
                f"({milliseconds(point.low_ms)} to {milliseconds(point.high_ms)})"
                for point in points
            ],
            "line": {"width": 2, "color": "var(--bucket-step)"},
            "marker": {"size": 5, "color": "var(--bucket-step)"},
            "cliponaxis": False,
            "hovertemplate": "%{customdata}<extra></extra>",
        },
    ]
    settings = {of.present_num_workers: "now"}
    if of.recommended_num_workers == of.present_num_workers:
        settings = {of.present_num_workers: "now = recommended"}
    else:
        settings[of.recommended_num_workers] = "recommended"
    notes = []
    for point in points:
        if point.num_workers in settings:
            good = point.num_workers == of.recommended_num_workers
            ink = "var(--good)" if good else "var(--ink)"
            traces.append(_setting(point.num_workers, point.expected_ms, ink, filled=good))
            near_the_end = x.index(point.num_workers) / max(1, len(x) - 1)
            notes.append(
                {
                    "x": point.num_workers,
                    "y": point.high_ms,
                    "text": f"<b>{settings[point.num_workers]}</b><br>{milliseconds(point.expected_ms)}",
                    "showarrow": False,
                    "yshift": 26,
                    "xanchor": "left" if near_the_end < 0.3 else "right" if near_the_end == 1 else "center",
                    "font": {"color": ink, "size": 12},
                }
            )
    floor = []
    if step_ms is not None and 0 < step_ms < top:
        floor.append(
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": step_ms,
                "y1": step_ms,
                "line": {"dash": "dot", "width": 1.5, "color": "var(--muted)"},
            }
        )
    return {
        "data": traces,
        "layout": {
            "margin": {"l": 48, "r": 8, "t": 8, "b": 38},
            "hovermode": "closest",
            "showlegend": False,
            "xaxis": {
                "title": {"text": "num_workers", "standoff": 6},
                "tickmode": "array",
                "tickvals": x,
                "showgrid": False,
                "zeroline": False,
            },
            "yaxis": {"title": {"text": "ms a batch"}, "range": [0, top]},
            "annotations": notes,
            "shapes": floor,
        },
    }


def _setting(num_workers: int, expected_ms: float, ink: str, *, filled: bool) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [num_workers],
        "y": [expected_ms],
        "marker": {
            "size": 13,
            "symbol": "circle",
            "color": ink if filled else "var(--card)",
            "line": {"width": 2.5, "color": ink},
        },
        "cliponaxis": False,
        "hoverinfo": "skip",
    }


def _step_ms(loader: Loader) -> float | None:
    stages = loader.pipeline.stages if loader.pipeline is not None else []
    return next((stage.ms_per_batch for stage in stages if stage.id == "step"), None)
