"""Facts of real traces, reduced to the document: nothing is lost, and it stays small."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest

from slowprobe.report import html
from slowprobe.report.device_document import Device
from slowprobe.report.device_figures import device_figures
from slowprobe.report.device_section import device_section
from slowprobe.report.timeline_cells import MOST_CELLS
from slowprobe.timeline.device.facts import DeviceFacts, device_facts
from slowprobe.timeline.device.intervals import Cover
from slowprobe.trace.reader import Trace, read_trace

SHARED = Path(os.environ.get("SLOWPROBE_TRACES", Path(__file__).parents[3] / "shared" / "traces"))
TRACES = {
    "workers0": "v100_resnet50_workers0",
    "workers4": "v100_resnet50_workers4",
    "no_markers": "v100_resnet50_cold_no_markers",
    "h100": "tl_h100_qwen15_05b.json.gz",
    "two_ranks": "hta_v100_2rank_r1.json.gz",
    "mi300x": "tl_mi300x_owlv2_pystack.json.gz",
    "triton": "tl_mi300x_torchcompile_triton.json.gz",
    "a100": "hta_a100_alexnet_cudasync.json.gz",
}

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="real traces are not at hand (../shared/traces)")
each_trace = pytest.mark.parametrize("name", TRACES)


@cache
def analysed(name: str) -> tuple[Trace, DeviceFacts, Device]:
    path = SHARED / TRACES[name]
    if path.is_dir():
        path = min(path.glob("*.json*"))
    trace = read_trace(path)
    facts = device_facts(trace)
    assert facts is not None
    return trace, facts, device_section(trace, facts)


def window(facts: DeviceFacts, device: Device) -> tuple[int, int]:
    """The stretch that the timeline shows."""
    steps = facts.steps
    if not len(steps):
        return facts.span_start_ns, facts.span_end_ns
    assert device.steps is not None
    at = steps.number.tolist().index(device.steps.typical)
    return int(steps.start_ns[at]), int(steps.end_ns[at])


@each_trace
def test_parts_add_up_to_the_span(name: str) -> None:
    _, _, device = analysed(name)
    assert sum(part.us for part in device.parts) == pytest.approx(device.span_us, abs=0.02)
    assert sum(device.idle_causes.values()) == pytest.approx(device.idle_us, abs=0.02)
    whole = device.compute_us + device.exposed_communication_us + device.exposed_copy_us + device.idle_us
    assert whole == pytest.approx(device.span_us, abs=0.01)
    if device.steps is not None:
        for place, span_us in enumerate(device.steps.span_us):
            parts = sum(column[place] for column in device.steps.parts.values())
            assert parts == pytest.approx(span_us, abs=0.05)


@each_trace
def test_timeline_keeps_the_busy_time_of_each_stream(name: str) -> None:
    """Against the union of the trace's own rows, whatever was merged."""
    _, facts, device = analysed(name)
    assert device.timeline is not None
    start, end = window(facts, device)
    rows = facts.rows
    for lane in device.timeline.lanes:
        if lane.kind == "stream" and lane.label.startswith("Stream "):
            mine = rows.stream == int(lane.label.removeprefix("Stream "))
            busy_ns = Cover(rows.start_ns[mine], rows.end_ns[mine]).between(start, end)
            assert sum(lane.busy_us) == pytest.approx(busy_ns / 1e3, abs=0.001 * len(lane.busy_us) + 0.01)
        assert sum(lane.totals_us.values()) == pytest.approx(sum(lane.busy_us), abs=0.001 * len(lane.busy_us) + 0.01)


@each_trace
def test_timeline_shows_all_idle_time_by_cause(name: str) -> None:
    _, facts, device = analysed(name)
    assert device.timeline is not None
    start, end = window(facts, device)
    idle = [lane for lane in device.timeline.lanes if lane.kind == "idle"]
    told = sum(facts.gaps.between(start, end).values())
    assert sum(us for lane in idle for us in lane.totals_us.values()) == pytest.approx(told / 1e3, abs=0.05)


@each_trace
def test_timeline_is_smooth_and_in_order(name: str) -> None:
    _, _, device = analysed(name)
    step = device.timeline
    assert step is not None and step.lanes
    assert sum(len(lane.start_us) for lane in step.lanes) <= MOST_CELLS
    for lane in step.lanes:
        starts, ends = np.array(lane.start_us), np.array(lane.end_us)
        assert (starts >= 0).all() and (ends <= step.span_us + 0.001).all() and (ends >= starts).all()
        assert (starts[1:] >= ends[:-1] - 0.001).all(), "cells of a row do not overlap"
        assert {len(column) for column in (lane.part, lane.count, lane.name, lane.busy_us)} == {len(starts)}
        assert max(lane.part) < len(step.parts) and max(lane.name) < len(step.names)


@each_trace
def test_section_is_small(name: str) -> None:
    device = analysed(name)[2]
    assert len(msgspec.json.encode(device)) < 200_000
    assert len(html.embedded(device_figures(device))) < 200_000


def test_waiting_for_data_fills_the_main_thread_of_workers0() -> None:
    device = analysed("workers0")[2]
    assert device.timeline is not None and device.steps is not None
    assert sum(device.steps.parts["idle_data"]) / sum(device.steps.span_us) == pytest.approx(0.33, abs=0.01)
    main = next(lane for lane in device.timeline.lanes if lane.label.startswith("Main thread"))
    assert main.totals_us["host_data"] == max(main.totals_us.values())
    longest = device.timeline.gaps[0]
    assert longest.cause == "data" and longest.us > 0.3 * device.timeline.span_us
    assert max(device.idle_causes, key=lambda cause: device.idle_causes[cause]) == "data"


def test_workers4_uses_no_tensor_cores() -> None:
    device = analysed("workers4")[2]
    assert device.tensor_core_us == 0.0 and device.tensor_core_able_us > 0


@pytest.mark.parametrize("build", [lambda: analysed("workers0")[2], lambda: analysed("mi300x")[2]])
def test_same_trace_same_section(build: Callable[[], Device]) -> None:
    first = msgspec.json.encode(build())
    analysed.cache_clear()
    assert msgspec.json.encode(build()) == first
