"""An optimizer of the user's own whose step goes through the parameters one by one."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Diagnosis
from slowprobe.diagnose.syntax import has_line
from slowprobe.run.record import Site
from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.loop_changes import Factor, Scale
from slowprobe.timeline.op_classes import classify
from slowprobe.timeline.op_lines import SourceOps

MIN_PARAMS = 20  # with fewer there is no loop to speak of
MIN_EACH = 3  # operators on a parameter; torch's own SGD with momentum has as many, and is as quick
SPREAD = 0.4  # lists of tensors have to be built, and what was measured had warm caches
_ROOTS = ("sqrt", "rsqrt")


@dataclass(frozen=True)
class OwnStep:
    """The lines of a step, and what it launches on each parameter."""

    facts: SpanFacts
    lines: list[SourceOps]
    """By time, most first."""
    head: Site | None
    """Of the loop over the parameters."""
    each: float
    """Operators that compute, a parameter."""
    like_adam: bool
    """Arithmetic alone, with a square root: what torch.optim.Adam and its kin do."""

    @property
    def step_ms(self) -> float:
        """One step in the loop."""
        return self.facts.total_s / self.facts.calls * 1000


def own_step(run: Evidence, facts: SpanFacts) -> OwnStep | None:
    """None where the class is not the user's, or its step is no loop over many parameters. Needs source and ops."""
    known = run.source.find_class(str(facts.attrs.get("class")))
    params = int(facts.attrs.get("params") or 0)
    if known is None or params < MIN_PARAMS:
        return None
    file, definition = known
    lines = [line for line in run.ops.lines if line.file == file and has_line(definition, line.line)]
    ops = [op for line in lines for op in line.ops]
    kinds = {op.name: classify(op.name) for op in ops}
    computing = [op for op in ops if kinds[op.name] in ("elementwise", "reduction")]
    each = sum(op.count for op in computing if "_foreach_" not in op.name) / params
    if each < MIN_EACH:
        return None
    lines.sort(key=lambda line: -line.total_ms)
    around = run.source.loop_around(file, lines[0].line)
    arithmetic = all(kind in ("elementwise", "copy", "view", "allocation") for kind in kinds.values())
    return OwnStep(
        facts,
        lines,
        Site(file, around[0], lines[0].function) if around is not None else None,
        each,
        arithmetic and any(op.name.rpartition("::")[2].rstrip("_") in _ROOTS for op in computing),
    )


def diagnose_own(run: Evidence, step: OwnStep, number: int | None) -> Diagnosis | None:
    """None where nothing was measured that the loop can be compared with."""
    facts, costs = step.facts, run.costs
    params = int(facts.attrs["params"])
    single, tensors = costs.get("foreach.mul_ms"), costs.get("foreach.tensors")
    if not single or not tensors:
        return None
    together_ms = step.each * single * params / tensors
    fused_ms = costs.get(f"optimizer.{number}.adam_fused_ms") if step.like_adam else None
    left = min(1.0, (fused_ms or together_ms) / step.step_ms)
    worst = min(1.0, max(left, together_ms / step.step_ms) + SPREAD * (1 - left))
    head = run.source.line(step.head.file, step.head.line) if step.head is not None else ""
    made = run.source.line(facts.where.file, facts.where.line) if facts.where is not None else ""
    text = (
        "Collect parameters, gradients and state in lists and do each operation on all at once: torch._foreach_mul_ …"
    )
    edit = diff([head] if head else [], ["torch._foreach_mul_(moments, beta)  # and so on: an operation, not a loop"])
    if fused_ms is not None:
        text = f"If it computes what torch.optim's Adam or AdamW do, use that with fused=True: one kernel each. {text}"
        edit = diff([made] if made else [], [_torchs(made, facts.name)])
    return Diagnosis(
        title=f"{facts.name} updates {params} parameters one at a time",
        summary=(
            f"The steps take {facts.loop_s / run.partition.loop_s:.0%} of loop time, {step.step_ms:.2f} ms each: "
            f"{step.each:.0f} operators on each of {params} parameters, one by one"
            + (f"; torch's fused Adam takes {fused_ms:.2g} ms for as many on this machine." if fused_ms else ".")
        ),
        where=place(*((facts.where, step.head) if fused_ms is not None else (step.head, facts.where))),
        fix=Fix(text=text, diff=edit),
        changes=[
            Scale("optimizer", scope, seconds, Factor(left * (1 - SPREAD), left, worst))
            for scope, seconds in facts.scopes.items()
            if seconds > 0
        ],
        basis="calibrated replay",
        evidence={
            "optimizer": str(facts.attrs.get("class")),
            "parameters": params,
            "operators on each": round(step.each, 1),
            "one step in the loop, ms": round(step.step_ms, 3),
            "each operation on all at once, measured apart, ms": round(together_ms, 3),
            "a step of torch's fused Adam, measured apart, ms": round(fused_ms, 3) if fused_ms else "not comparable",
        },
        covers=[Site(line.file, line.line, line.function) for line in step.lines],
    )


def _torchs(made: str, name: str) -> str:
    """The line that makes the optimizer, with torch's in place of the user's."""
    before, called, arguments = made.partition(f"{name}(")
    if not called or not arguments.endswith(")") or arguments.count("(") != arguments.count(")") - 1:
        return "optimizer = torch.optim.AdamW(model.parameters(), lr=…, fused=True)"
    return f"{before}torch.optim.AdamW({arguments[:-1]}, fused=True)"
