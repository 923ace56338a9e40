"""The chart of predicted time a batch against num_workers: range, present and recommended setting, the step alone."""

from __future__ import annotations

import math
from typing import Any

from slowprobe.report.loader_document import CurvePoint, WorkerCurve
from slowprobe.report.quantities import milliseconds

Figure = dict[str, Any]

SAME = 0.02  # of the time; nearer than this, two marks are one


def curve(of: WorkerCurve, step_ms: float | None) -> Figure:
    """The predicted time with its range; the present and the recommended setting marked, the step alone as a floor."""
    points = [point for point in of.points if math.isfinite(point.low_ms + point.expected_ms + point.high_ms)]
    x = [point.num_workers for point in points]
    top = 1.3 * max([of.present_ms, *(point.high_ms for point in points)], default=1.0) or 1.0
    marked = [*_now(of, points), *(point for point in points if point.num_workers == of.recommended_num_workers)]
    names = ["now", "recommended"] if len(marked) == 2 else ["now = recommended"]
    notes = [_note(point, name, _ink(name), x) for point, name in zip(marked, names, strict=False)]
    if _crowded(marked, x, top):
        notes[0]["yshift"] = 60
    return {
        "data": [*_prediction(points, x), *(_mark(point, name) for point, name in zip(marked, names, strict=False))],
        "layout": {
            "margin": {"l": 48, "r": 8, "t": 8, "b": 38},
            "hovermode": "closest",
            "showlegend": False,
            "xaxis": {
                "title": {"text": "num_workers", "standoff": 6},
                "tickmode": "array",
                "tickvals": _ticks(x, {point.num_workers for point in marked}),
                "showgrid": False,
                "zeroline": False,
            },
            "yaxis": {"title": {"text": "ms a batch"}, "range": [0, top]},
            "annotations": notes,
            "shapes": [_floor(step_ms)] if step_ms is not None and 0 < step_ms < top else [],
        },
    }


def _prediction(points: list[CurvePoint], x: list[int]) -> list[Figure]:
    line = {"type": "scatter", "mode": "lines", "x": x, "hoverinfo": "skip", "line": {"width": 0}}
    return [
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


def _now(of: WorkerCurve, points: list[CurvePoint]) -> list[CurvePoint]:
    """The present setting, where it is not the recommended one as it stands on the curve."""
    ms = of.present_ms
    there = next((point for point in points if point.num_workers == of.present_num_workers), None)
    if there is None or not math.isfinite(ms):
        return []
    if abs(there.expected_ms - ms) <= SAME * ms:
        return [] if of.present_num_workers == of.recommended_num_workers else [there]
    return [CurvePoint(num_workers=of.present_num_workers, low_ms=ms, expected_ms=ms, high_ms=ms)]


def _ink(name: str) -> str:
    return "var(--ink)" if name == "now" else "var(--good)"


def _mark(point: CurvePoint, name: str) -> Figure:
    ink = _ink(name)
    filled = name != "now"
    line = {"width": 2.5, "color": ink}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [point.num_workers],
        "y": [point.expected_ms],
        "marker": {"size": 13, "symbol": "circle", "color": ink if filled else "var(--card)", "line": line},
        "cliponaxis": False,
        "hoverinfo": "skip",
    }


def _note(point: CurvePoint, name: str, ink: str, settings: list[int]) -> Figure:
    along = settings.index(point.num_workers) / max(1, len(settings) - 1)
    return {
        "x": point.num_workers,
        "y": point.high_ms,
        "text": f"<b>{name}</b><br>{milliseconds(point.expected_ms)}",
        "showarrow": False,
        "yshift": 26,
        "xanchor": "left" if along < 0.3 else "right" if along == 1 else "center",
        "font": {"color": ink, "size": 12},
    }


def _floor(step_ms: float) -> Figure:
    line = {"dash": "dot", "width": 1.5, "color": "var(--muted)"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": step_ms, "y1": step_ms, "line": line}


def _ticks(settings: list[int], marked: set[int]) -> list[int]:
    """As many of the settings as have room for their number, the marked ones first."""
    room = max(settings, default=0) / 11
    kept = [setting for setting in settings if setting in marked]
    for setting in settings:
        if all(abs(setting - other) >= room for other in kept):
            kept.append(setting)
    return sorted(kept)


def _crowded(marked: list[CurvePoint], settings: list[int], top: float) -> bool:
    """Whether the labels of the two marked settings would touch on a narrow screen."""
    if len(marked) != 2:
        return False
    one, other = marked
    near = abs(one.num_workers - other.num_workers) < 0.55 * max(settings)
    return near and abs(one.high_ms - other.high_ms) < 0.15 * top
