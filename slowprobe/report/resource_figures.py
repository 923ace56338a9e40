"""The charts of the machine over time: cores kept busy, and memory, stacked by who has them."""

from __future__ import annotations

from typing import Any

from slowprobe.report.quantities import memory
from slowprobe.report.resource_document import Resources
from slowprobe.report.resource_words import cores

Figure = dict[str, Any]

_TRAINING, _WORKERS, _OTHERS = "var(--bucket-step)", "var(--bucket-fetch)", "var(--bucket-other)"


def resource_figures(use: Resources | None) -> dict[str, Figure]:
    """The charts there is data for, by name."""
    if use is None or len(use.end_s) < 2:
        return {}
    return {"cores": _cores(use), "host-memory": _memory(use)}


def _cores(use: Resources) -> Figure:
    rows = [("training process", use.training_cores, _TRAINING), ("other processes", use.other_cores, _OTHERS)]
    if use.most_workers:
        rows.insert(1, ("its workers", use.worker_cores, _WORKERS))
    traces = [
        _layer(use, name, [round(each, 3) for each in values], [f"{cores(each)} cores" for each in values], colour)
        for name, values, colour in rows
    ]
    layout = _layout(use, "cores busy")
    line = {"width": 1.5, "dash": "dot", "color": "var(--muted)"}
    limit = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": use.cores, "y1": use.cores, "line": line}
    layout["shapes"] = [*layout["shapes"], limit]
    return {"data": traces, "layout": layout}


def _memory(use: Resources) -> Figure:
    rows = [("training process", use.training_bytes, _TRAINING)]
    if use.most_workers:
        rows.append(("its workers, their own", use.worker_bytes, _WORKERS))
    most = max(map(sum, zip(*(values for _, values, _ in rows), strict=False)), default=0)
    scale, unit = (2**30, "GiB") if most >= 2**30 else (2**20, "MiB")
    traces = [
        _layer(use, name, [round(each / scale, 4) for each in values], [memory(each) for each in values], colour)
        for name, values, colour in rows
    ]
    return {"data": traces, "layout": _layout(use, unit)}


def _layer(use: Resources, name: str, values: list[float], said: list[str], colour: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "stackgroup": "all",
        "name": name,
        "x": use.end_s,
        "y": values,
        "line": {"width": 0, "shape": "vh", "color": colour},
        "fillcolor": colour,
        "customdata": said,
        "hovertemplate": "%{customdata}",
    }


def _layout(use: Resources, title: str) -> Figure:
    return {
        "margin": {"l": 52, "r": 12, "t": 8, "b": 40},
        "hovermode": "x unified",
        "showlegend": False,
        "shapes": [_mark(at) for at in use.loop_s or ()],
        "xaxis": {
            "title": {"text": "s from the start of the run", "standoff": 6},
            "unifiedhovertitle": {"text": "until %{x:.1f} s"},
            "range": [0, use.end_s[-1]],
            "zeroline": False,
            "showgrid": False,
        },
        "yaxis": {"title": {"text": title}, "rangemode": "tozero"},
    }


def _mark(at: float) -> Figure:
    """A line where the loop begins or ends."""
    line = {"width": 1, "color": "var(--muted)"}
    return {"type": "line", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1, "layer": "below", "line": line}
