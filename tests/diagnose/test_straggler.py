from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from synthetic_trace import SyntheticTrace

from diagnose.asking import ask
from diagnose.test_comm_exposed import step
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.trace.reader import read_trace

RULE = "straggler"


def evidence(folder, named):
    trace = SyntheticTrace(folder, rank=0, world_size=8)
    for _ in range(4):
        with trace.step():
            step(trace)
    made = TraceEvidence(read_trace(trace.write()))
    rank = 3 if named else None
    judged = SimpleNamespace(
        rank=rank,
        leading=3,
        share=0.9,
        lost_share=0.3,
        ahead_ns=4_000_000,
        reason="Rank 3 comes last in 40 of 44.",
        cause="compute",
        excess_ns=1e6,
    )
    row = SimpleNamespace(rank=3, path=Path("rank3.json"), clock_offset_ns=None, work_ns={"compute": 4e6})
    made.__dict__["_ranks"] = SimpleNamespace(
        straggler=judged,
        rows=[row],
        world_size=8,
    )
    return made


def test_slow_names_the_rank(tmp_path):
    verdict = ask(RULE, evidence(tmp_path, named=True))
    assert verdict.diagnosis.title == "Rank 3 makes the others wait" and verdict.saved_s > 0
    assert verdict.diagnosis.basis == "stated range", "the other ranks' traces are not there to be replayed"


def test_ranks_that_take_turns_pass(tmp_path):
    """Near miss: as much is lost, and by nobody in particular."""
    assert ask(RULE, evidence(tmp_path, named=False)).status == "passed"


def test_one_rank_is_not_judged(tmp_path):
    trace = SyntheticTrace(tmp_path)
    with trace.step():
        step(trace)
    assert ask(RULE, TraceEvidence(read_trace(trace.write()))).status == "not-checked"
