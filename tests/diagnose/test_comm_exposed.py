from __future__ import annotations

from diagnose.device import about, ahead

RULE = "comm-exposed"


def step(trace, us=3_000.0, hidden=False):
    if hidden:
        trace.collective("AllReduce", us)
    ahead(trace, kernels=10)
    if not hidden:
        trace.sync()
        trace.collective("AllReduce", us)
        trace.sync()


def test_slow_says_how_much_is_hidden(tmp_path):
    verdict = about(RULE, tmp_path, step, rank=0, world_size=8)
    assert "0% of the communication is hidden" in verdict.diagnosis.summary and verdict.saved_s > 0


def test_fixed_is_hidden_and_passes(tmp_path):
    assert about(RULE, tmp_path, lambda t: step(t, hidden=True), rank=0, world_size=8).status == "passed"


def test_a_short_one_passes(tmp_path):
    """Near miss: not hidden, and 5 % of the time."""
    assert about(RULE, tmp_path, lambda trace: step(trace, 200.0), rank=0, world_size=8).status == "passed"


def test_alone_it_does_not_apply(tmp_path):
    assert about(RULE, tmp_path, ahead).status == "not-applicable"
