"""The charts of a loader: its waits over time, and predicted time a batch against num_workers."""

from __future__ import annotations

import math
from typing import Any

from slowprobe.report.curve_figure import curve
from slowprobe.report.document import StepSeries
from slowprobe.report.loader_document import Loader
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
            "name": "wait" if data.group == 1 else f"mean of {data.group} batches",
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


def _step_ms(loader: Loader) -> float | None:
    stages = loader.pipeline.stages if loader.pipeline is not None else []
    return next((stage.ms_per_batch for stage in stages if stage.id == "step"), None)
