from __future__ import annotations

from diagnose.device import about, ahead

RULE = "gpu-gap-periodic"


def test_slow_names_what_the_host_did(tmp_path):
    seen = []

    def step(trace):
        seen.append(1)
        ahead(trace)
        if len(seen) == 3:
            trace.data(900_000)

    verdict = about(RULE, tmp_path, step)
    assert "waited for data" in verdict.diagnosis.summary and verdict.saved_s > 0.5


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, ahead).status == "passed"


def test_the_same_in_every_step_passes(tmp_path):
    """Near miss: as much idle time, a little in each step."""

    def step(trace):
        ahead(trace)
        trace.data(9_000)

    assert about(RULE, tmp_path, step).status == "passed"
