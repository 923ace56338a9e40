from __future__ import annotations

from types import SimpleNamespace

from synthetic_trace import SyntheticTrace

from diagnose.asking import ask
from diagnose.device import about, ahead
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.trace.reader import read_trace

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


def test_waiting_for_another_rank_is_no_network(tmp_path):
    """Near miss: as much is exposed, and nearly all of it until the last rank comes."""
    trace = SyntheticTrace(tmp_path, rank=0, world_size=8)
    for _ in range(4):
        with trace.step():
            step(trace)
    evidence = TraceEvidence(read_trace(trace.write()))
    row = SimpleNamespace(rank=0, waiting_ns=9_000_000, transfer_ns=1_000_000)
    evidence.__dict__["_ranks"] = SimpleNamespace(rows=[row])
    verdict = ask(RULE, evidence)
    assert verdict.status == "passed" and "90% of the time in collectives is waiting" in verdict.outcome.reason
