"""Tensors are copied again and again to put their dimensions in another order, or read across it.

What it is: `.contiguous()`, `.reshape()` or `.flatten()` on a transposed or permuted tensor, in every step. Or samples
that are picked along an inner dimension: ``data[:, rows]``, ``data[..., rows]``.

Why it is slow: each is a pass over memory that computes nothing, and reads with a stride: it takes about as long as an
elementwise operator on the same data, or several of them. Where samples lie side by side, each element of one is in
another cache line: for 4 bytes 64 are fetched. Two loops that picked 64 and 96 samples that way took 2.3 and 6.7 times
as long as with the samples in the first dimension (benchmarks/strangers/vortex_street, benchmarks/guests/wind_tunnel).

How it is seen: the profiler window gives these operators with the source line that launched them. On a tensor that is
contiguous already they take a microsecond; what is counted is the time of those that copied. Of an index, the window
has the dimension that it picks along, and the strides; the dearest such call is tried after the run, as it is and on
the same tensor turned.

Saving: where the layout is chosen once, the copies are gone, and elementwise operators and reductions that met a
transposed operand, many of them in the backward pass, read all in one order. These are timed after the run on the
recorded shapes, as they were and with operands in order. Where none could be tried a range is stated: a quarter of the
copies' time is expected to remain in operators that then read with a stride, and all of it may. Of picking, what the
trial leaves; at worst half of the gain is lost.

Stays quiet when: such copies take less than 10 % of a step, or are short (below 50 µs, starting them is the cost: see
tiny-op-loop).

Fix: keep one layout from the data set on, samples first (``data = data.movedim(-1, 0).contiguous()``, once), and use
operators that take a dimension (dim=, einsum, a norm over another axis) in place of a transposition and a copy.

Sources: PyTorch documentation (torch.Tensor.contiguous, tensor views); PyTorch Performance Tuning Guide.
"""

from __future__ import annotations

from collections.abc import Callable

from slowprobe.diagnose.edits import diff, statement_lines
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._step_seconds import step_seconds
from slowprobe.run.record import Site
from slowprobe.timeline.loop_changes import Factor, Scale
from slowprobe.timeline.op_lines import LineOp, SourceOps
from slowprobe.timeline.tried_edits import SPREAD, tried_edit

MIN_SHARE = 0.10  # of a step; models that transpose between layers at all spend a few per cent
MIN_COPY_MS = 0.05  # a shorter one is mostly its own start
COPIES = ("aten::contiguous", "aten::reshape", "aten::flatten")  # they copy only to change the order in memory
PICKS = ("aten::index", "aten::index_select")
LEFT = Factor(0.0, 0.25, 1.0)
LEFT_TRIED = Factor(0.0, 0.0, 1.0)  # what reads with a stride was seen by itself

RULE = Rule(
    title="Tensors are copied to change their layout",
    bottleneck="compute",
    needs=("steps", "ops", "partition", "source", "costs"),
)


def check(run: Evidence) -> Answer:
    """Add up the copies by line, and what is picked across the order in memory."""
    if run.ops.lines_basis != "line":
        return NotChecked("the profiler window has no source lines")
    copies = _of_copies(run)
    picking = _of_picking(run)
    if picking is None:
        return copies
    return [picking, copies] if isinstance(copies, Diagnosis) else picking


def _of_copies(run: Evidence) -> Diagnosis | Passed:
    found = _by_line(run, _copies_ms)
    total_ms = sum(ms for _, ms in found)
    share = total_ms / run.ops.step_ms if run.ops.step_ms else 0.0
    if share < MIN_SHARE:
        return Passed(f"copies that change a layout take {share:.1%} of a step")
    top = found[0][0]
    count = sum(op.count for line, _ in found for op in _copying(line))
    code = statement_lines(run.source, Site(top.file, top.line, top.function))
    return Diagnosis(
        summary=(
            f"{count:.0f} copies a step only change the order of dimensions in memory: they take {share:.0%} of it, "
            f"{found[0][1] / total_ms:.0%} of that on one line."
        ),
        where=_places(found),
        fix=Fix(
            text=(
                "Keep the tensor in the layout that the next operators want, from where it is made, or use operators "
                "that take the dimension as an argument; then the copy is not needed."
            ),
            diff=diff(code, ["# the same on the tensor as it lies: dim=…, einsum, or data stored in this order"]),
        ),
        changes=_changes(run, total_ms),
        basis="stated range",
        evidence={
            "copies, of a step": round(share, 4),
            "lines": {
                "columns": ["line", "operator", "times a step", "ms a step", "elements"],
                "rows": [
                    [line.line, op.name, op.count, round(op.total_ms, 3), op.median_numel]
                    for line, _ in found[:6]
                    for op in _copying(line)
                ],
            },
        },
    )


def _of_picking(run: Evidence) -> Diagnosis | None:
    """Samples picked along an inner dimension, by line."""
    now_ms, edited_ms = (run.costs.get(f"gather.{name}_ms") for name in ("now", "edited"))
    found = _by_line(run, _picking_ms)
    total_ms = sum(ms for _, ms in found)
    if not now_ms or edited_ms is None or not run.ops.step_ms or not total_ms:
        return None
    left = min(1.0, edited_ms / now_ms)
    share = total_ms / run.ops.step_ms
    if share * (1 - left) < MIN_SHARE:
        return None
    top = found[0][0]
    code = statement_lines(run.source, Site(top.file, top.line, top.function))
    dim = int(run.costs.get("gather.dim", -1))
    turned = f"data.movedim({dim}, 0).contiguous()" if dim else "data.contiguous()"
    spent_s = step_seconds(run, run.ops.step_ms, total_ms)
    factor = Factor(left * (1 - SPREAD), left, (1 + left) / 2)
    return Diagnosis(
        title="Samples are picked along an inner dimension",
        summary=(
            f"Picking samples takes {share:.0%} of a step, for they lie side by side: each element of one is in "
            f"another cache line. From a tensor with the samples first it takes {left:.0%} of that, as tried after the "
            "run."
        ),
        where=_places(found),
        fix=Fix(
            text=(
                "Turn the tensor once, before training, so that its first dimension is the one that is picked along, "
                f"and its samples lie one after the other: data = {turned}; then index it as data[rows]."
            ),
            diff=diff(code, [f"# the same from {turned}, made once before the loop"]),
        ),
        changes=[Scale(bucket, "step", spent, factor) for bucket, spent in spent_s.items()],
        evidence={
            "picking, of a step": round(share, 4),
            "the dearest call, tried after the run, ms": round(now_ms, 3),
            "the same with that dimension first, ms": round(edited_ms, 3),
        },
    )


def _by_line(run: Evidence, spent_ms: Callable[[SourceOps], float]) -> list[tuple[SourceOps, float]]:
    """Lines with such operators and what these take of a step, most first."""
    return sorted(((line, ms) for line in run.ops.lines if (ms := spent_ms(line)) > 0), key=lambda each: -each[1])


def _places(found: list[tuple[SourceOps, float]]) -> list[Where]:
    total_ms = sum(ms for _, ms in found)
    return [Where(line.file, line.line, line.function, round(ms / total_ms, 3)) for line, ms in found[:6]]


def _picking_ms(line: SourceOps) -> float:
    return sum(op.total_ms for op in line.ops if op.name in PICKS and op.total_ms >= MIN_COPY_MS * op.count)


def _changes(run: Evidence, copies_ms: float) -> list[Scale]:
    """The copies, and what works on transposed operands beside them."""
    tried = tried_edit(run.costs, "straight")
    found = step_seconds(run, run.ops.step_ms, copies_ms)
    changes = [Scale(bucket, "step", spent, LEFT if tried is None else LEFT_TRIED) for bucket, spent in found.items()]
    if tried is not None and tried.left < 1:
        part = tried.of_all * run.ops.shares.work * run.ops.step_ms
        ran_s = {bucket: run.partition.bucket_s(bucket, "step") for bucket in ("forward", "backward")}
        backward_ms = part * ran_s["backward"] / max(sum(ran_s.values()), 1e-9)
        spent_s = step_seconds(run, run.ops.step_ms, part - backward_ms, backward_ms)
        changes += [Scale(bucket, "step", spent, tried.factor) for bucket, spent in spent_s.items()]
    return changes


def _copying(line: SourceOps) -> list[LineOp]:
    return [op for op in line.ops if op.name in COPIES and op.total_ms >= MIN_COPY_MS * op.count]


def _copies_ms(line: SourceOps) -> float:
    return sum(op.total_ms for op in _copying(line))
