"""Memory grows with every step, because the graphs of past steps are kept.

What it is: a loss that is collected or summed up as a tensor, `losses.append(loss)` or `total += loss`, holds the graph
of its step: its nodes, and with retain_graph=True (or what a custom function kept) the activations as well.

Why it is slow: memory that is never freed is fetched anew from the system in each step, and the run ends in swapping or
out of memory.

How it is seen: the resident memory of the training process, read about once a second, grows all through the loop, and
the source of the training loop collects a loss without detach(), item() or float().

Stays quiet when: memory levels off, grows by less than 100 MB and 5 %, or no such line is in the training loop: growth
alone names no cause. What the graphs take in time is not known, so no saving is claimed.

Fix: losses.append(loss.detach()), or loss.item() where a number is needed.

Sources: PyTorch FAQ (my model reports out of memory: don't accumulate history across your training loop).
"""

from __future__ import annotations

import ast

from slowprobe.diagnose.edits import diff
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Risk, Where
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.run.record import Site

MIN_STEPS = 50  # fewer, and caches that fill up look the same
MIN_BYTES = 100e6  # allocators keep tens of MB for themselves
MIN_SHARE = 0.05  # of what the process had at first

RULE = Rule(
    title="Memory grows with every step",
    bottleneck="memory",
    needs=("steps", "memory_growth", "backwards", "source"),
)


def check(run: Evidence) -> Answer:
    """Look for growth, and for the line that keeps graphs."""
    if run.steps.count < MIN_STEPS:
        return NotChecked(f"{run.steps.count} steps are too few to see memory grow")
    growth = run.memory_growth
    grown_mb = growth.grown_bytes / 1e6
    if growth.grown_bytes < max(MIN_BYTES, MIN_SHARE * growth.first_bytes):
        return Passed(f"memory grew by {max(0.0, grown_mb):.0f} MB in the loop")
    if not growth.steady:
        return Passed(f"memory grew by {grown_mb:.0f} MB in the loop, and levelled off")
    site = next((found for each in run.backwards if (found := _keeps_graphs(run, each.where)) is not None), None)
    if site is None:
        return Passed(f"memory grew by {grown_mb:.0f} MB in the loop; its source shows no loss that keeps its graph")
    code = run.source.line(site.file, site.line)
    return Diagnosis(
        summary=(
            f"The training process grew by {grown_mb:.0f} MB in the loop, {growth.bytes_per_s / 1e6:.0f} MB a second, "
            "and has not stopped: each loss that is kept here holds its step's graph."
        ),
        where=[Where(site.file, site.line, site.function)],
        fix=Fix(
            text="Keep the value, not the graph: detach() where a tensor is wanted, item() where a number is.",
            diff=diff([code], [_detached(code)]),
        ),
        changes=[],
        evidence={
            "growth, MB": round(grown_mb),
            "MB a second": round(growth.bytes_per_s / 1e6, 1),
            "at the beginning, MB": round(growth.first_bytes / 1e6),
        },
        risk=Risk("medium", "the run ends out of memory if it goes on like this"),
    )


def _keeps_graphs(run: Evidence, backward: Site | None) -> Site | None:
    """The statement in the loop around a backward pass that keeps what backward is called on."""
    loop = None if backward is None else run.source.loop_around(backward.file, backward.line)
    if backward is None or loop is None:
        return None
    called_on = run.source.line(backward.file, backward.line).partition(".backward")[0].strip()
    if not called_on.isidentifier():
        return None
    for number in range(loop[0], loop[1] + 1):
        try:
            node = ast.parse(run.source.line(backward.file, number)).body
        except SyntaxError:
            continue
        if len(node) == 1 and _keeps(node[0], called_on):
            return Site(backward.file, number, backward.function)
    return None


def _keeps(statement: ast.stmt, name: str) -> bool:
    """`total += loss`, `total = total + loss`, `losses.append(loss)`, without anything that cuts the graph off."""
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add):
        value: ast.expr = statement.value
    elif (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Attribute)
        and statement.value.func.attr == "append"
        and len(statement.value.args) == 1
    ):
        value = statement.value.args[0]
    else:
        return False
    while isinstance(value, ast.BinOp):  # loss / steps
        value = value.left
    return isinstance(value, ast.Name) and value.id == name


def _detached(code: str) -> str:
    head, separator, tail = code.partition("append(") if "append(" in code else code.partition("+=")
    value = tail.strip().rstrip(")")
    return f"{head}{separator}{value}.detach())" if "append(" in code else f"{head}{separator} {value}.detach()"
