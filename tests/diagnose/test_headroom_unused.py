from __future__ import annotations

from diagnose.device import about, ahead

RULE = "headroom-unused"
GIB = 1 << 30


def step(trace, reserved=20 * GIB, checkpointed=True):
    trace.memory(GIB, reserved)
    with trace.op("CheckpointFunction" if checkpointed else "aten::linear"):
        ahead(trace, kernels=5)
    trace.memory(-GIB, reserved)


def test_slow_names_the_memory_that_is_free(tmp_path):
    verdict = about(RULE, tmp_path, step)
    assert "75% of it is free" in verdict.diagnosis.summary and verdict.saved_s > 0


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, lambda trace: step(trace, checkpointed=False)).status == "not-applicable"


def test_a_full_device_earns_it(tmp_path):
    """Near miss: checkpointed, and 90 % in use."""
    assert about(RULE, tmp_path, lambda trace: step(trace, 72 * GIB)).status == "passed"


def test_without_memory_events_it_is_not_judged(tmp_path):
    def bare(trace):
        with trace.op("CheckpointFunction"):
            ahead(trace, kernels=5)

    assert about(RULE, tmp_path, bare).status == "not-checked"
