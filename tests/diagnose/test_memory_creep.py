from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from slowprobe.run.schema import Resources
from slowprobe.timeline.memory_growth import memory_growth

SOURCE = """\
for x in data:
    loss = net(x).mean()
    loss.backward()
    optimizer.step()
    losses.append(loss)
"""
RULE = "memory-creep"


def readings(mb: list[float]) -> list[Resources]:
    return [
        Resources(at_ns=int(n * 1e9), cpu_s=0, rss_bytes=int(each * 1e6), system_busy_s=0, available_bytes=0)
        for n, each in enumerate(mb)
    ]


def record(tmp_path, mb: list[float], source: str = SOURCE, steps: int = 80):
    run = SyntheticRun(tmp_path, source)
    for _ in range(steps):
        run.forward(4.0, 2)
        run.backward(8.0, 3)
        run.optimizer(1.0, 4)
    evidence = run.evidence()
    growth = memory_growth(readings(mb), 0.0, 100.0)
    assert growth is not None
    vars(evidence)["memory_growth"] = growth
    return evidence


STEADY = [1000.0 + 50 * n for n in range(10)]


def test_slow_names_the_line_as_a_risk_without_a_saving(tmp_path):
    verdict = ask(RULE, record(tmp_path, STEADY))
    assert verdict.lines == [5]
    assert verdict.saved_s == 0.0
    assert verdict.diagnosis.risk is not None
    assert verdict.diagnosis.evidence["growth, MB"] == 450
    assert verdict.diagnosis.fix.diff.endswith("+losses.append(loss.detach())")


def test_a_running_sum_keeps_graphs_too(tmp_path):
    verdict = ask(RULE, record(tmp_path, STEADY, SOURCE.replace("losses.append(loss)", "total += loss / 10")))
    assert verdict.lines == [5]
    assert verdict.diagnosis.fix.diff.endswith("+total += loss.detach() / 10")


HUNG = """\
class Gallery:
    def hang(self, pictures):
        self.pictures.append(pictures)
for x in data:
    loss = net(x).mean()
    loss.backward()
    gallery.hang(loss)
"""


def test_a_method_that_keeps_its_argument_is_the_second_place(tmp_path):
    run = SyntheticRun(tmp_path, HUNG)
    for _ in range(80):
        run.forward(4.0, 5)
        run.backward(8.0, 6)
        run.optimizer(1.0, 6)
    evidence = run.evidence()
    vars(evidence)["memory_growth"] = memory_growth(readings(STEADY), 0.0, 100.0)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [7, 3]
    assert verdict.diagnosis.fix.diff.endswith("+gallery.hang(loss.detach())")


@pytest.mark.parametrize("line", ["losses.append(loss.detach())", "total += loss.item()", "losses.append(float(loss))"])
def test_fixed_keeps_values_only(tmp_path, line):
    assert ask(RULE, record(tmp_path, STEADY, SOURCE.replace("losses.append(loss)", line))).status == "passed"


def test_near_miss_memory_that_levels_off(tmp_path):
    assert ask(RULE, record(tmp_path, [1000, 1200, 1400, 1600, 1800, 1810, 1810, 1810, 1810, 1810])).status == "passed"


def test_near_miss_little_growth(tmp_path):
    assert ask(RULE, record(tmp_path, [1000.0 + n for n in range(10)])).status == "passed"


def test_few_steps_are_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, STEADY, steps=20)).status == "not-checked"


def test_few_readings_say_nothing():
    assert memory_growth(readings([1.0, 2.0, 3.0]), 0.0, 10.0) is None


def test_one_outlier_does_not_make_a_slope():
    growth = memory_growth(readings([1000.0] * 5 + [5000.0] + [1000.0] * 5), 0.0, 100.0)
    assert growth is not None
    assert growth.grown_bytes == 0.0
