"""The charts of the device: a typical step as a timeline, every step by its parts, the memory over time."""

from __future__ import annotations

import math
from typing import Any

from slowprobe.report.device_document import Device, DeviceMemory, DeviceSteps
from slowprobe.report.device_words import bucket, is_idle, label
from slowprobe.report.palette import variable
from slowprobe.report.quantities import seconds
from slowprobe.report.timeline_figure import HATCHED, scaled, timeline
from slowprobe.report.untrusted import plain

Figure = dict[str, Any]


def device_figures(device: Device | None) -> dict[str, Figure]:
    """Every chart that this device has data for, by name."""
    drawn: dict[str, Figure] = {}
    if device is None:
        return drawn
    if device.timeline is not None and any(lane.start_us for lane in device.timeline.lanes):
        drawn["device-step"] = timeline(device.timeline)
    if device.steps is not None and len(device.steps.number) > 1:
        drawn["device-steps"] = by_step(device.steps)
    if device.memory is not None and len(device.memory.time_us) > 1:
        drawn["device-memory"] = memory_curve(device.memory)
    return drawn


def by_step(steps: DeviceSteps) -> Figure:
    """A bar a step, its parts stacked: computing below, idle on top."""
    order = sorted(
        steps.parts, key=lambda part: (is_idle(part), part in ("communication", "copy"), -sum(steps.parts[part]))
    )
    scale, unit = scaled(max(steps.span_us, default=0.0))
    traces = []
    for part in order:
        marker: Figure = {"color": variable(bucket(part)), "line": {"width": 0}}
        if is_idle(part):
            marker["pattern"] = HATCHED
        column, said = steps.parts[part], plain(label(part))
        traces.append(
            {
                "type": "bar",
                "name": said,
                "x": list(range(len(column))),
                "y": [round(us / scale, 4) for us in column],
                "marker": marker,
                "customdata": [f"{said}: {seconds(us / 1e6)}" for us in column],
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        )
    ticks = range(0, len(steps.number), max(1, math.ceil(len(steps.number) / 12)))
    return {
        "data": traces,
        "layout": {
            "margin": {"l": 48, "r": 8, "t": 8, "b": 40},
            "barmode": "stack",
            "bargap": 0.25 if len(steps.number) < 40 else 0.05,
            "showlegend": False,
            "hovermode": "x unified",
            "xaxis": {
                "title": {"text": "step", "standoff": 6},
                "tickmode": "array",
                "tickvals": list(ticks),
                "ticktext": [f"{steps.number[at]}" for at in ticks],
                "showgrid": False,
            },
            "yaxis": {"title": {"text": f"{unit} of the device"}, "rangemode": "tozero"},
        },
    }


def memory_curve(memory: DeviceMemory) -> Figure:
    """Allocated memory filled, reserved memory as a line, the peak marked."""
    top = max([memory.peak_reserved_bytes, memory.peak_bytes, *memory.allocated_bytes, *memory.reserved_bytes])
    scale, unit = (2**30, "GiB") if top >= 2**30 else (2**20, "MiB")
    x = [round(us / 1e3, 3) for us in memory.time_us]
    curves = [
        ("reserved", memory.reserved_bytes, "var(--muted)"),
        ("allocated", memory.allocated_bytes, "var(--bucket-step)"),
    ]
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": x,
            "y": [round(value / scale, 4) for value in column],
            "line": {"width": 1.5, "shape": "hv", "color": colour, **({"dash": "dot"} if name == "reserved" else {})},
            **({"fill": "tozeroy", "fillcolor": "var(--chart-band)"} if name == "allocated" else {}),
            "hovertemplate": f"{name} %{{y:.4~g}} {unit}<extra></extra>",
        }
        for name, column, colour in curves
        if max(column) > 0
    ]
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "peak",
            "x": [round(memory.peak_us / 1e3, 3)],
            "y": [round(memory.peak_bytes / scale, 4)],
            "marker": {"size": 9, "color": "var(--chart-mark)", "line": {"width": 1, "color": "var(--card)"}},
            "cliponaxis": False,
            "hovertemplate": f"peak %{{y:.4~g}} {unit}<extra></extra>",
        }
    )
    return {
        "data": traces,
        "layout": {
            "margin": {"l": 52, "r": 12, "t": 8, "b": 40},
            "hovermode": "x unified",
            "legend": {"orientation": "h", "y": 1.12, "x": 0},
            "shapes": [_step_mark(us) for us in memory.steps_us],
            "xaxis": {
                "title": {"text": "ms from the first allocation seen", "standoff": 6},
                "zeroline": False,
                "showgrid": False,
            },
            "yaxis": {"title": {"text": unit}, "rangemode": "tozero"},
        },
    }


def _step_mark(start_us: float) -> Figure:
    """A line where a step begins."""
    x = round(start_us / 1e3, 3)
    line = {"width": 1, "color": "var(--line)"}
    return {"type": "line", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "layer": "below", "line": line}
