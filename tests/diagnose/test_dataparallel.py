from __future__ import annotations

from dataclasses import replace

from synthetic_trace import SyntheticTrace

from diagnose.asking import ask
from diagnose.device import about, ahead
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.trace.reader import read_trace

RULE = "dataparallel"


def evidence(folder, *, devices, scatters):
    trace = SyntheticTrace(folder)
    for _ in range(4):
        with trace.step():
            trace.python(3_000)
            if scatters:
                with trace.op("Scatter"):
                    trace.copy("PtoP", 20.0)
            ahead(trace, kernels=5)
    trace.sync()
    made = TraceEvidence(read_trace(trace.write()))
    made.__dict__["facts"] = replace(made.facts, devices=devices)
    return made


def test_slow_names_torchrun(tmp_path):
    verdict = ask(RULE, evidence(tmp_path, devices=(0, 1, 2, 3), scatters=True))
    assert "--nproc-per-node=4" in verdict.diagnosis.fix.diff and verdict.saved_s > 0


def test_fixed_does_not_apply(tmp_path):
    assert about(RULE, tmp_path, ahead).status == "not-applicable"


def test_a_model_on_two_devices_passes(tmp_path):
    """Near miss: two devices in one process, for a model that is split between them."""
    assert ask(RULE, evidence(tmp_path, devices=(0, 1), scatters=False)).status == "passed"
