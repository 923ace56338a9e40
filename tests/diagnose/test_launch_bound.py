from __future__ import annotations

from diagnose.device import ADD, about, ahead, product

RULE = "launch-bound"


def small(trace, python_us=20.0, us=5.0):
    for _ in range(100):
        trace.python(python_us)
        with trace.op("aten::add"):
            trace.kernel(ADD, us)


def test_slow_saves_most_of_the_idle_time(tmp_path):
    """Each kernel takes 5 µs, its launch and the Python before it 26."""
    verdict = about(RULE, tmp_path, small)
    assert verdict.diagnosis.evidence["launches a step"] > 90
    assert verdict.diagnosis.evidence["device idle for want of launches"] > 0.7
    _, outlook = verdict.found[0]
    assert outlook.expected_s < 0.5 * outlook.before_s


def test_what_no_graph_captures_keeps_its_launch(tmp_path):
    """Copies from the host between the kernels: what lies around them stays."""

    def step(trace):
        for _ in range(100):
            trace.python(20.0)
            with trace.op("aten::copy_"):
                trace.copy("HtoD (Pinned -> Device)", 1.0, 64, waits=False)
            with trace.op("aten::add"):
                trace.kernel(ADD, 5.0)

    verdict = about(RULE, tmp_path, step)
    _, outlook = verdict.found[0]
    assert outlook.expected_s > 0.5 * outlook.before_s


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, ahead).status == "passed"


def test_a_host_that_is_just_ahead_passes(tmp_path):
    """Near miss: as many launches, and kernels a little longer than what it takes to launch them."""
    assert about(RULE, tmp_path, lambda trace: small(trace, us=30.0)).status == "passed"


def test_long_kernels_behind_slow_python_pass(tmp_path):
    def step(trace):
        for _ in range(10):
            trace.python(500.0)
            product(trace, us=200.0)

    verdict = about(RULE, tmp_path, step)
    assert verdict.status == "passed" and "longer than a launch" in verdict.outcome.reason
