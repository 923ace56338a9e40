"""Compiled code falls apart into pieces, or is not compiled at all.

What it is: torch.compile ends its graph at what it cannot trace (a number read back with item(), a branch on a tensor's
value, print, a library it does not know), runs that in Python and begins another graph. In the middle of a loop it
cannot begin again: then the whole function runs uncompiled.

Why it is slow: nothing is fused across a break, each piece checks its guards, and in a function that was given up the
price of compiling has bought nothing. Only a debug log says so.

How it is seen: torch._dynamo's own notes of each break and each function it gave up, with reason and line.

Saving: the profiler window shows how many pieces of compiled code a step enters, and what guards, wrappers and
autograd's bookkeeping around them take, forward and backward; all pieces but one are expected to go with it, half of
that at worst. Without a window, a stated range: 30 µs for each break a step, 10 at worst. What fusion would gain is not
known and not counted. For a function that was given up none is claimed.

Stays quiet when: breaks cost less than 1 % of the loop, and no function of yours was given up.

Fix: move what the reason names out of the compiled function: collect numbers as tensors and read them after the step,
torch.where or torch.cond in place of a branch; torch.compile(fullgraph=True) makes a break an error.

Sources: PyTorch documentation (graph breaks, programming model of torch.compile).
"""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Risk, Where
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.diagnose.rules._step_seconds import step_seconds
from slowprobe.timeline.hotspots import UserCode
from slowprobe.timeline.loop_changes import Factor, Scale

BREAK_US = 30.0  # a function of three operators with and without a break, aot_eager, torch 2.13 on a CPU: 23 and 32 µs
LEFT = Factor(0.0, 0.0, 0.7)
ONE_GRAPH = Factor(0.0, 0.0, 0.5)  # several compiled functions, or a break that stays, leave more than one piece

RULE = Rule(
    title="Compiled code falls apart into pieces",
    bottleneck="compile",
    needs=("steps", "compilations", "compiled_pieces", "partition", "source", "run"),
    closer_than=("python-bound",),
)


def check(run: Evidence) -> Answer:
    """Count the breaks and the functions that were given up."""
    noted = run.compilations
    if noted is None:
        return NotApplicable("torch.compile was not used")
    is_user = UserCode(run.run.manifest)
    skipped = [row for row in noted.skipped if is_user(row[1])]
    breaks = [row for row in noted.breaks if is_user(row[2])]
    if not skipped and not breaks:
        return Passed("torch.compile broke no graph in your code")
    loop_s = run.partition.loop_s
    changes = _changes(run, len(breaks)) if breaks else []
    cost_s = sum(change.seconds for change in changes)
    if not skipped and cost_s < 0.01 * loop_s:
        return Passed(f"{len(breaks)} graph breaks, which cost about {cost_s / loop_s:.1%} of loop time")
    name = skipped[0][0] if skipped else breaks[0][1]
    reasons = [row[3] for row in skipped] or [row[0] for row in breaks]
    why = f" {reasons[0].rstrip('.')}."
    if skipped:
        lines = [_culprit(run, *row[1:]) for row in skipped]
        elsewhere = [row for row in breaks if row[0] in reasons] if lines == [row[2] for row in skipped] else []
        places = [Where(row[2], row[3], row[1]) for row in elsewhere[:5]]  # in what it calls: the line to edit
        places += [Where(row[1], line, row[0]) for row, line in zip(skipped, lines, strict=True)]
    else:
        places = [Where(row[2], row[3], row[1]) for row in breaks[:5]]
    given_up = f"{name} runs uncompiled: a graph breaks in its loop, and torch.compile gives the whole function up."
    apart = f"The compiled code is left and entered again in {len(breaks)} places."
    return Diagnosis(
        title=f"{name} is not compiled" if skipped else f"The compiled {name} falls apart into pieces",
        summary=(given_up if skipped else apart) + why,
        where=places,
        fix=Fix(
            text=(
                "Take what the reason names out of the compiled function: keep numbers as tensors and read them after "
                "the step, use torch.where for a branch on values. torch.compile(fullgraph=True) shows what is left."
            ),
        ),
        changes=changes,
        basis="stated range" if run.compiled_pieces is None else "replay",
        evidence={
            "pieces entered in a step": round(run.compiled_pieces.count, 1) if run.compiled_pieces else "unknown",
            "breaks": {
                "columns": ["reason", "function", "line", "times"],
                "rows": [[row[0], row[1], row[3], row[4]] for row in breaks[:20]],
            },
            "functions given up": ", ".join(sorted({row[0] for row in skipped})) or "none",
        },
        risk=Risk("medium", f"{name} runs uncompiled: torch.compile brings it nothing") if skipped else None,
    )


def _changes(run: Evidence, breaks: int) -> list[Scale]:
    """What goes with the breaks: all pieces of compiled code but one, as far as a window shows them."""
    pieces = run.compiled_pieces
    if pieces is None:
        return [Scale("forward", "step", breaks * BREAK_US / 1e6 * run.steps.count, LEFT)]
    many = max(0.0, 1 - 1 / pieces.count) if pieces.count else 0.0
    seconds = step_seconds(run, pieces.step_ms, pieces.forward_ms * many, pieces.backward_ms * many)
    return [Scale(bucket, "step", spent, ONE_GRAPH) for bucket, spent in seconds.items()]


def _culprit(run: Evidence, file: str, line: int, reason: str) -> int:
    """The line in the function that begins at `line` which the reason is about, where that is plain to see."""
    head = run.source.lines(file)[line - 1 : line]
    if "Tensor.item()" not in reason or not head:
        return line
    indent = len(head[0]) - len(head[0].lstrip())
    for number, text in enumerate(run.source.lines(file)[line:], line + 1):
        if text.strip() and len(text) - len(text.lstrip()) <= indent:
            break
        if ".item(" in text.partition("#")[0]:
            return number
    return line
