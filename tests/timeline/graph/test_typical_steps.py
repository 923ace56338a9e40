"""Long recordings are replayed on some of their steps, which must say what all of them would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_trace import SyntheticTrace

from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.report.trace_build import build_trace_document
from slowprobe.timeline.device import typical
from slowprobe.timeline.device_window import DeviceWindow, read_device_window
from slowprobe.timeline.graph.changes import Change, Faster, FewerLaunches, HostFaster, NoGap, NoSync, OverlapCopies
from slowprobe.timeline.graph.part import build_part
from slowprobe.timeline.loop_changes import faster

STEPS = 120
CHANGES = (
    Faster("compute", faster(1, 2)),
    HostFaster(faster(1, 2)),
    NoGap("data"),
    NoGap("python"),
    NoGap("off_step"),
    NoSync(),
    OverlapCopies(),
    FewerLaunches(0, 500, 1_000),
)


def recorded(folder: Path, *, kernel_us: float, pause_us: float = 0.0, memory: str = "Pageable") -> DeviceWindow:
    """Every fourth step ends with a wait for the device; one pauses."""
    trace = SyntheticTrace(folder)
    for number in range(STEPS):
        with trace.step():
            trace.data(300, workers=False)
            trace.copy(f"HtoD ({memory} -> Device)", 40)
            for _ in range(6):
                with trace.op("aten::mm"):
                    trace.kernel("ampere_sgemm_128x64_nn", kernel_us)
                trace.python(20 + number % 3)
            if number % 4 == 3:
                trace.sync()
            if number == 7:
                trace.python(pause_us)
        trace.python(30)
    window = read_device_window(trace.write())
    assert window is not None
    return window


def part_of(window: DeviceWindow, monkeypatch: pytest.MonkeyPatch, share: float = 0.4) -> DeviceWindow:
    monkeypatch.setattr(typical, "MOST_ROWS", int(share * len(window.trace)))
    return DeviceWindow(window.trace, window.facts)


def left(window: DeviceWindow, change: Change) -> float:
    outlook = window.outlook([change])
    return outlook.expected_s / outlook.before_s


@pytest.mark.parametrize("memory", ["Pageable", "Pinned"])
@pytest.mark.parametrize("kernel_us", [2.0, 30.0, 200.0])
def test_some_steps_say_what_all_would(tmp_path, monkeypatch, kernel_us, memory):
    whole = recorded(tmp_path, kernel_us=kernel_us, memory=memory)
    before_s, expected = whole.graph.before_s, [left(whole, change) for change in CHANGES]
    part = part_of(whole, monkeypatch)
    assert part.typical is not None and part.typical.last - part.typical.first < STEPS / 2
    assert part.graph.before_s == pytest.approx(before_s)
    assert [left(part, change) for change in CHANGES] == pytest.approx(expected, abs=0.005)
    unchanged = part.outlook([])
    assert unchanged.expected_s == unchanged.before_s


def test_short_recordings_are_replayed_whole(tmp_path):
    window = recorded(tmp_path, kernel_us=30)
    assert window.typical is None
    assert len(window.graph.schedule([]).start_ns) > STEPS * 20


def test_the_chosen_steps_are_like_all(tmp_path, monkeypatch):
    part = part_of(recorded(tmp_path, kernel_us=30), monkeypatch)
    chosen, steps = part.typical, part.facts.steps
    assert chosen is not None
    assert chosen.unlike < 0.005 and (chosen.last - chosen.first) % 2 == 0
    assert chosen.lead < chosen.first and chosen.lead_ns == steps.start_ns[chosen.lead]
    assert (chosen.begin_ns, chosen.end_ns) == (steps.start_ns[chosen.first], steps.start_ns[chosen.last])


def test_what_few_steps_do_is_replayed_in_all(tmp_path, monkeypatch):
    window = recorded(tmp_path, kernel_us=30, pause_us=60_000)
    assert part_of(window, monkeypatch).typical is None, "no other steps have that pause"


def test_a_part_is_recorded_as_the_whole_is(tmp_path):
    window = recorded(tmp_path, kernel_us=200)
    trace, rows, steps = window.trace, window.facts.rows, window.facts.steps
    graph = build_part(trace, rows, int(steps.start_ns[10]), int(steps.start_ns[20]))
    replayed = graph.replay()
    assert np.array_equal(replayed.start_ns, graph.start_ns) and np.array_equal(replayed.end_ns, graph.end_ns)
    known = graph.row >= 0
    assert np.array_equal(trace.name_id[graph.row[known]], graph.name_id[known]), "rows of the whole trace"
    mine = np.isin(rows.row, graph.row)
    launched_ns = trace.start_ns[rows.launch]
    wanted = (launched_ns >= steps.start_ns[10]) & (launched_ns < steps.start_ns[20])
    assert mine[wanted].all(), "all that these steps launched, whenever it ran"
    earlier = (launched_ns < steps.start_ns[10]) & (rows.end_ns > steps.start_ns[10])
    assert earlier.any() and mine[earlier].all(), "what the device still had to do"


def test_changes_of_rows_are_of_the_rows_in_the_part(tmp_path, monkeypatch):
    window = recorded(tmp_path, kernel_us=200)
    syncs = np.flatnonzero(window.trace.matches(lambda name: name == "cudaStreamSynchronize")).tolist()
    change, expected = NoSync(syncs), left(window, NoSync(syncs))
    part = part_of(window, monkeypatch)
    assert left(part, change) == pytest.approx(expected, abs=0.01)
    assert left(part, OverlapCopies(window.facts.rows.row.tolist())) == pytest.approx(
        left(window, OverlapCopies()), abs=0.02
    )


def test_the_report_says_which_steps_were_replayed(tmp_path, monkeypatch):
    window = recorded(tmp_path, kernel_us=30)
    chosen = part_of(window, monkeypatch).typical
    assert chosen is not None
    notes = build_trace_document(TraceEvidence(window.trace), "trace", "slowprobe analyze trace").notes
    assert [note for note in notes if f"steps {chosen.first} to {chosen.last - 1}" in note and f"of {STEPS}" in note]
    monkeypatch.undo()
    notes = build_trace_document(TraceEvidence(window.trace), "trace", "slowprobe analyze trace").notes
    assert not [note for note in notes if "replayed" in note]
