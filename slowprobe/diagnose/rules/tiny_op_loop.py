"""A Python loop inside the step launches many small operators.

What it is: the same lines run again and again within one step (over time steps, samples, heads), and each launches
operators on little data.

Why it is slow: starting an operator costs microseconds in Python, argument parsing, dispatch and autograd, forward and
backward, whatever the size of its tensors. Hundreds of starts outweigh the work.

How it is seen: the profiler window gives every operator with the source line that launched it. Lines whose operators
repeat within a step are grouped by the loop around them, loops inside one another together. The first line named is the
dearest of the loop's lines, not its head. Where the window happens to hold what few steps do (a rollout), stack samples
of the run bound its share. The window slows small operators down; the excess over an unprofiled step is taken out. What
would remain is a part of each operator's work beyond its fixed cost (the smaller its tensors, the less), and one start
for each distinct operator (Hockney's start-up model).

Stays quiet when: operators on the lines are mostly work (large tensors), they repeat fewer than 20 times a step, or the
loop takes less than 5 % of the step. Loops over parameters belong to python-param-loops. A loop inside a library or a
trainer is not the user's to edit: it passes, and the reason names the line that calls it.

Fix: one operator over the whole dimension: a batched matmul, torch.stack, nn.LSTM or nn.GRU, vmap; or torch.compile.

Sources: Hockney (1982), the r-infinity and n-half model; PyTorch Performance Tuning Guide (fuse operations).
"""

from __future__ import annotations

import math
import re

from slowprobe.diagnose.edits import diff
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.op_loops import OpLoop, in_libraries, is_over_parameters, op_loops
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.timeline.loop_changes import Factor, Scale

MIN_SHARE = 0.05  # of a step
MAX_LEFT = 0.6  # of the loop's time may stay when it is batched; above, the gain is not worth the edit
MAX_WORK = 0.9  # of it may be work on data: a busy machine stretches that part several times over
# What stays of the work beyond the fixed cost once equal operators run as one: small ones spend it on allocation, on
# starting threads and on cold caches. Measured on a hand-written LSTM against nn.LSTM, forward and backward, 2 cores:
# a quarter at 1,500 elements, half at 33,000; elsewhere by the logarithm. Two points, so the range is wide.
KEPT_SMALL, SMALL = 0.25, 1_500
KEPT_PER_DECADE = 0.19
_ENVIRONMENT = re.compile(r"\benvs?\.step\(|=\s*[\w.]+\.step\(")  # a simulator's step returns what it led to

RULE = Rule(
    title="A Python loop launches many small operators",
    bottleneck="host",
    needs=("steps", "ops", "lines", "source", "partition", "optimizers", "backwards"),
)


def check(run: Evidence) -> Answer:
    """Find loops of small operators and what batching them would leave."""
    loops = [loop for loop in op_loops(run) if not is_over_parameters(loop, run)]
    found = [loop for loop in loops if loop.share >= MIN_SHARE and loop.left <= MAX_WORK and _left(loop) <= MAX_LEFT]
    if not found:
        if loops:
            return Passed(f"repeated operators take {max(loop.share for loop in loops):.1%} of a step, most of it work")
        return Passed(in_libraries(run) or "no source line launches the same operator 20 times or more in a step")
    return [_diagnose(run, loop) for loop in found]


def kept_work(elements: int | None) -> float:
    """Share of the operators' work that batching leaves, by the elements of the median operand."""
    decades = math.log10(max(elements or SMALL, SMALL) / SMALL)
    return min(1.0, KEPT_SMALL + KEPT_PER_DECADE * decades)


def _advice(run: Evidence, loop: OpLoop) -> str:
    top = loop.lines[0]
    around = run.source.loop_around(top.file, loop.header) if loop.header else None
    body = run.source.lines(top.file)[around[0] - 1 : around[1]] if around else []
    if any(_ENVIRONMENT.search(line) for line in body):
        return (
            "Each turn waits for the environment, so the turns cannot be batched; step several environments side by "
            "side (gymnasium.vector), so that each operator serves all of them."
        )
    return (
        "Replace the loop by operators over the whole dimension (a batched matmul, torch.stack, nn.LSTM or nn.GRU for "
        "a recurrence), or wrap the module in torch.compile."
    )


def _left(loop: OpLoop) -> float:
    return loop.left * kept_work(loop.median_elements)


def _diagnose(run: Evidence, loop: OpLoop) -> Diagnosis:
    left = _left(loop)
    factor = Factor(left / 2, left, (1 + left) / 2)
    top = loop.lines[0]
    place = f"{top.file.rsplit('/', 1)[-1]}:{top.line}"
    body = run.source.line(top.file, top.line)
    return Diagnosis(
        title=f"{loop.launches:.0f} small operators a step from one loop in {top.function.rsplit('.', 1)[-1]}()",
        summary=(
            f"The loop around {place} launches {loop.launches:.0f} operators a step, {loop.microseconds:.0f} µs each "
            f"with its share of Python and autograd: {loop.share:.0%} of the step, "
            f"of which {loop.left:.0%} is work on data."
        ),
        where=[Where(line.file, line.line, line.function, round(share, 3)) for line, share in loop.shares],
        fix=Fix(
            text=_advice(run, loop),
            diff=diff(
                [run.source.line(top.file, loop.header), f"    {body}"] if loop.header else [body],
                ["# the same operators once, over all iterations: batched, stacked, or a built-in layer"],
            ),
        ),
        changes=[Scale(bucket, "step", seconds, factor) for bucket, seconds in loop.seconds.items() if seconds > 0],
        basis="stated range",
        evidence={
            "operators a step": round(loop.launches, 1),
            "share of the step": round(loop.share, 4),
            "of it work on data": round(loop.left, 4),
            "elements in the median operand": loop.median_elements,
            "operators": {
                "columns": ["line", "operator", "times a step"],
                "rows": [[line.line, op.name, round(op.count, 1)] for line in loop.lines[:6] for op in line.ops[:4]],
            },
        },
    )
