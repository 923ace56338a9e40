"""Makes operator windows, as the profiler's would be read, for rules that look at operators."""

from __future__ import annotations

from typing import Any

from synthetic import SCRIPT

from slowprobe.diagnose.evidence import Evidence
from slowprobe.timeline.op_bound import StepShares
from slowprobe.timeline.op_classes import classify
from slowprobe.timeline.op_lines import LineOp, SourceOps
from slowprobe.timeline.ops import DurationSpread, OpStat, OpWindow


def line_ops(
    line: int,
    count: float,
    *,
    op: str = "aten::mul",
    function: str = "Net.forward",
    forward_ms: float,
    backward_ms: float = 0.0,
    gap_ms: float = 0.0,
    left_ms: float,
    numel: int = 256,
) -> SourceOps:
    """A line that launches `op` `count` times a step; `left_ms` would remain if it were one operator."""
    return SourceOps(
        file=SCRIPT,
        line=line,
        function=function,
        launches=int(count),
        backward_launches=int(count) if backward_ms else 0,
        ops=(LineOp(op, classify(op), count, forward_ms, numel),),
        median_numel=numel,
        forward_ms=forward_ms,
        backward_ms=backward_ms,
        dispatch_ms=max(0.0, forward_ms + backward_ms - left_ms),
        launch_gap_ms=gap_ms,
        batched_ms=left_ms,
    )


def with_ops(
    evidence: Evidence,
    lines: list[SourceOps],
    step_ms: float,
    *,
    work: float = 0.5,
    small: float = 0.0,
    ops: tuple[OpStat, ...] = (),
    **values: Any,
) -> Evidence:
    """`evidence` with an operator window (and other evidence in `values`) in place of what it would compute.

    work: share of the step inside operators; small: share of operator time in operators below 100 µs.
    """
    shares = StepShares(work=work, dispatch=(1 - work) / 2, launch_gap=(1 - work) / 2, python=0.0, data=0.0, engine=0.0)
    vars(evidence)["ops"] = OpWindow(
        steps=3,
        step_basis="slowprobe.step",
        events=1000,
        step_ms=step_ms,
        steps_ms=(step_ms,) * 3,
        ops=ops,
        classes=(),
        launches_per_step=sum(line.launches for line in lines),
        dispatches_per_step=sum(line.launches for line in lines),
        launch_cost_us=2.0,
        durations=DurationSpread(10, 5, 10, 20, {10: small, 50: small, 100: small, 1000: small}, {10: 0.0}),
        dispatch_overhead_us=3.0,
        overhead_basis="measured",
        dispatch_share=0.1,
        shares=shares,
        bound="mixed",
        bound_text="",
        lines=tuple(lines),
        lines_basis="line",
        warnings=(),
    )
    vars(evidence).update(values)
    return evidence


def op_stat(name: str, count: float, self_ms: float = 1.0) -> OpStat:
    """An operator that ran `count` times a step."""
    return OpStat(name, classify(name), count, count, self_ms, 1.0, 1.0, 1.0)
