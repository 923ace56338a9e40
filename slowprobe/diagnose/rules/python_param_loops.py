"""A Python loop over the model's parameters runs in every step.

What it is: moving averages, gradient clipping, norms, weight decay or a hand-made optimizer, written as a loop over
parameters with a few operators for each.

Why it is slow: the parameters are many and most are small, so starting the operators takes longer than they run. The
`torch._foreach_*` functions, and what is built on them, do a list of tensors in one call.

How it is seen: source lines that repeat an operator about as often as the model has parameters, within a loop that
names parameters, gradients or a state dict. What the foreach form takes is measured after the run on tensors of the
same sizes: a line that multiplies and adds becomes one lerp, any other operator a foreach call of its own. Statements
of the same function that make what the loop goes over (state_dict(), list(model.parameters())) or load it back go with
it, since lists of tensors are built once. A sum of the parameters' squares that backward goes through is a penalty,
which an optimizer adds to the gradients as weight_decay in the pass that it makes anyway: of such a loop nothing is
expected to remain, a quarter at worst.

Stays quiet when: the loop takes less than 3 % of the step, there are fewer than 20 parameters, or a library or trainer
runs the loop: that is not the user's to edit.

Fix: weight_decay of the optimizer for a penalty on squares; else torch._foreach_lerp_, torch._foreach_mul_,
torch.nn.utils.clip_grad_norm_(..., foreach=True),
torch.optim.swa_utils.AveragedModel(multi_avg_fn=get_ema_multi_avg_fn(decay)).

Sources: torch.optim.swa_utils documentation; the foreach implementations of torch.optim.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from slowprobe.diagnose.edits import diff
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.hot_lines import sampled_lines, scale_lines
from slowprobe.diagnose.op_loops import OpLoop, in_libraries, is_over_parameters, op_loops
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.diagnose.syntax import called_name, end_of, has_line, names_in
from slowprobe.diagnose.turns import turn_of
from slowprobe.run.record import Site
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loop_changes import Factor, Scale

MIN_SHARE = 0.03  # of a step
STATED = Factor(0.1, 0.25, 0.5)  # foreach against a loop over 200 to 1,000 small tensors, where nothing was measured
SPREAD = 0.4  # building the lists of tensors costs Python time that the measurement does not see
BUILT_ONCE = Factor(0.0, 0.0, 0.5)  # of making lists and state dicts; at worst something else needs some of them
NO_LOOP = Factor(0.0, 0.0, 0.25)  # the optimizer adds the decay in the pass that it makes anyway
AS_DECAY = (
    "The gradient of strength * sum(p ** 2) is 2 * strength * p: give the optimizer weight_decay=2 * strength "
    "(of Adam, not AdamW; in a parameter group where it is for some only), and take the penalty out of the loss."
)
DECAY = "optimizer = torch.optim.SGD(model.parameters(), lr=..., weight_decay=2 * strength)  # made once"
_SQUARED = re.compile(r"(?<![\w.])(\w+)(?:\.pow\(2(?:\.0)?\)|\.square\(\)| ?\*\* ?2(?:\.0)?\))\.sum\(\)")
_PAIR = ("mul", "add")
_COMPUTING = ("elementwise", "reduction", "other")  # not views, allocations and copies: foreach has no call for them
_MAKES = ("state_dict", "parameters", "named_parameters", "buffers", "named_buffers")
OPERATORS_REPLACED = 3  # a tensor, by the one measured foreach call: a moving average takes two or three

RULE = Rule(
    title="A Python loop over parameters runs every step",
    bottleneck="host",
    needs=("steps", "ops", "lines", "source", "partition", "optimizers", "backwards", "costs"),
)


def check(run: Evidence) -> Answer:
    """Find loops over parameters and what the foreach form would leave."""
    loops = [loop for loop in op_loops(run) if is_over_parameters(loop, run)]
    found = [loop for loop in loops if loop.share >= MIN_SHARE]
    if not found:
        share = max((loop.share for loop in loops), default=0.0)
        elsewhere = "" if loops else in_libraries(run)
        return Passed(f"loops over parameters take {share:.1%} of a step" + (f"; {elsewhere}" if elsewhere else ""))
    return [_diagnose(run, loop) for loop in found]


def _diagnose(run: Evidence, loop: OpLoop) -> Diagnosis:
    top = loop.lines[0]
    penalty = _is_penalty(run, loop)
    factor, basis = _factor(run, loop, penalty)
    around = _around(run, loop)
    around_s = sum(line.seconds for line in around)
    loop_s = run.partition.loop_s
    code = run.source.line(top.file, top.line)
    header = run.source.line(top.file, loop.header) if loop.header else ""
    return Diagnosis(
        summary=(
            f"The loop launches {loop.launches:.0f} operators a step on {loop.repeats:.0f} tensors one by one: "
            f"{loop.share:.0%} of the step."
            + (f" Making and loading what it goes over takes {around_s / loop_s:.0%} of loop time." if around else "")
        ),
        where=[Where(line.file, line.line, line.function, round(share, 3)) for line, share in loop.shares],
        fix=Fix(
            text=AS_DECAY
            if penalty
            else "Collect the tensors in lists once and update them together with a torch._foreach_ function.",
            diff=diff([header, f"    {code}"] if header else [code], [DECAY if penalty else _instead(code)]),
        ),
        changes=[
            *(Scale(bucket, "step", seconds, factor) for bucket, seconds in loop.seconds.items() if seconds > 0),
            *scale_lines(around, BUILT_ONCE),
        ],
        covers=[line.site for line in around],
        basis=basis,
        evidence={
            "operators a step": round(loop.launches, 1),
            "tensors": round(loop.repeats),
            "share of the step": round(loop.share, 4),
            "lists and state dicts, share of loop time": round(around_s / loop_s, 4),
            "same update in a loop, measured apart, ms": round(run.costs.get("foreach.loop_ms", 0.0), 3),
            "same update with foreach, measured apart, ms": round(run.costs.get("foreach.foreach_ms", 0.0), 3),
        },
    )


def _is_penalty(run: Evidence, loop: OpLoop) -> bool:
    """Whether the loop sums squares of what it goes over, and backward goes through: not of gradients or distances."""
    top = loop.lines[0]
    code = run.source.line(top.file, top.line)
    head = run.source.line(top.file, loop.header) if loop.header else code
    squared = _SQUARED.search(code)
    over = re.search(r"\bfor\b(.+?)\bin\b", head)
    named = re.findall(r"\w+", over[1]) if over is not None else []
    return top.backward_launches > 0 and squared is not None and squared[1] in named


def _around(run: Evidence, loop: OpLoop) -> list[LineTime]:
    """Sampled lines of statements that make what the loop goes over or load it back, and are of no use without it.

    Where those and the loop are all that their function does, the line that calls it belongs to them: what it made is
    freed there.
    """
    top = loop.lines[0]
    function = run.source.function_around(top.file, top.line)
    if function is None or not loop.header:
        return []
    mine: list[ast.stmt] = []
    others = False
    read: set[str] = set()
    for statement in function.body:
        if isinstance(statement, (ast.For, ast.AsyncFor)) and statement.lineno == loop.header:
            read = names_in(statement)
    for statement in function.body:
        calls = {called_name(node) for node in ast.walk(statement) if isinstance(node, ast.Call)}
        names = names_in(statement)
        is_loop = has_line(statement, loop.header)
        makes = isinstance(statement, ast.Assign) and bool(calls & set(_MAKES))
        loads = isinstance(statement, ast.Expr) and "load_state_dict" in calls
        if not is_loop and (makes or loads) and names & read:
            mine.append(statement)
        elif not is_loop:  # beside a docstring
            others |= not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
    if not mine:
        return []
    spans = [(statement.lineno, end_of(statement)) for statement in mine]
    turn = turn_of(run.source, Site(top.file, top.line, top.function))

    def belongs(line: LineTime) -> bool:
        if line.file != top.file or line.scope != "step" or line.bucket != "python":
            return False
        if any(first <= line.line <= last for first, last in spans):
            return True
        call = run.source.line(line.file, line.line)
        return not others and turn is not None and turn.called and call.endswith(f"{function.name}()")

    return [line for line in sampled_lines(run) if belongs(line)]


def _factor(run: Evidence, loop: OpLoop, penalty: bool) -> tuple[Factor, Any]:
    if penalty:
        return NO_LOOP, "replay"
    together, tensors = run.costs.get("foreach.foreach_ms"), run.costs.get("foreach.tensors")
    now_ms = sum(loop.seconds.values()) * 1000 / max(run.steps.count, 1)
    if not together or not tensors or not now_ms:
        return STATED, "stated range"
    in_loop = min(loop.repeats, tensors)  # an operator may run more than once for each tensor
    single = run.costs.get("foreach.mul_ms")
    if single:
        lerps, others = _calls(loop)
        after_ms = (lerps * together + others * single) / tensors
    else:
        operators = max(1.0, loop.launches / max(in_loop, 1) / OPERATORS_REPLACED)
        after_ms = together * operators * in_loop / tensors
    left = min(1.0, after_ms / now_ms)
    return Factor(left * (1 - SPREAD), left, min(1.0, left + SPREAD * (1 - left))), "calibrated replay"


def _calls(loop: OpLoop) -> tuple[float, float]:
    """How many tensors a step a foreach lerp would update in place of the loop, and how many other foreach calls."""
    lerps = others = 0.0
    for line in loop.lines:
        counts = {name: sum(op.count for op in line.ops if op.name.rstrip("_") == f"aten::{name}") for name in _PAIR}
        rest = sum(
            op.count
            for op in line.ops
            if op.op_class in _COMPUTING and op.name.rstrip("_") not in {f"aten::{name}" for name in (*_PAIR, "copy")}
        )
        together = all(counts.values())
        lerps += counts["add"] if together else 0.0
        others += rest + (0.0 if together else sum(counts.values()))
    return lerps, others


def _instead(code: str) -> str:
    if "clip" in code or "norm" in code:
        return "torch.nn.utils.clip_grad_norm_(parameters, max_norm, foreach=True)"
    return "torch._foreach_lerp_(averages, parameters, 1 - decay)  # lists of tensors, built once; in-place, no_grad"
