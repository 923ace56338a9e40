"""The flame graph's rows and its chart."""

from __future__ import annotations

import math

import pytest
from synthetic import SyntheticRun

from report import samples
from slowprobe.report.flame_figure import flame_chart
from slowprobe.report.flame_rows import flame_rows
from slowprobe.report.palette import variable

SOURCE = """\
def step(batch):
    forward(batch)

def main():
    for batch in loader:
        step(batch)
"""


def test_rows_are_the_calls_of_the_loop_callers_first(tmp_path) -> None:
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(None)
    with run.epoch(loader):
        for _ in range(40):
            run.batch(loader, 1.0)
            run.train(4.0, 8.0, 1.0)
            run.python(3.0, run.line("forward(batch)"), "step")
    evidence = run.evidence()
    rows = flame_rows(evidence)
    assert rows is not None and rows.parent[0] == -1
    assert all(0 <= parent < row for row, parent in enumerate(rows.parent[1:], 1))
    assert rows.seconds[0] == pytest.approx(evidence.partition.loop_s, rel=0.02)
    row = rows.text.index("forward(batch)")
    assert rows.users[row] and rows.bucket[row] == "python"
    assert rows.seconds[row] == pytest.approx(40 * 0.003, rel=0.1)


def test_values_are_what_a_box_has_beside_its_calls() -> None:
    rows = samples.flame()
    (trace,) = flame_chart(rows)["data"]
    sums = list(trace["values"])
    for row in range(len(sums) - 1, 0, -1):
        sums[int(trace["parents"][row])] += sums[row]
    assert sums == pytest.approx(rows.seconds)
    colours = trace["marker"]["colors"]
    assert colours[2] == variable("data_wait") and colours[5] == "var(--chart-scope)"
    assert "for batch in loader:" in trace["text"][2] and "for batch in loader:" not in trace["text"][4]


def test_odd_rows_still_make_a_tree() -> None:
    flame = samples.hostile().flame
    assert flame is not None
    (trace,) = flame_chart(flame)["data"]
    assert trace["parents"].count("") == 1 and all(math.isfinite(value) and value >= 0 for value in trace["values"])
    assert all(int(parent) < row for row, parent in enumerate(trace["parents"][1:], 1))
