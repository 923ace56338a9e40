"""torch.compile compiles the same function again and again.

What it is: compiled code holds for the shapes, types and Python values it was compiled with. Where one of them changes
(a string, a flag, a Python number, the sizes of a padded batch), the function is compiled anew, up to a limit; then it
runs uncompiled, with one line in the log to say so.

Why it is slow: a compilation takes seconds, in the middle of training; past the limit, nothing of it is used.

How it is seen: torch._dynamo's own notes: which function was compiled how often, why, in how many seconds. The line
named is where the function reads the value that changed, or the only one that assigns it, or the function where it is
handed to it.

Saving: the recompilations, with the garbage collections inside them. Where a size is what changes, one of them stays
and makes it dynamic.

Stays quiet when: compilations after the first of a function take less than 2 % of the loop. One or two are usual:
a second shape makes a dimension dynamic, and that serves all others.

Fix: what the reason names. Sizes: torch._dynamo.mark_dynamic, torch.compile(dynamic=True), drop_last=True, padding to a
few lengths. Python values: keep them out of the compiled function, or hand them over as tensors.

Sources: PyTorch documentation on recompilation (programming model of torch.compile); pytorch#188150.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from typing import Any

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Risk
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.diagnose.syntax import has_line
from slowprobe.run.compile_record import Compilations
from slowprobe.run.record import Site
from slowprobe.timeline.loop_changes import Factor, Scale

MIN_SHARE = 0.02  # of loop time: a compilation is over once and for all, so less than that is forgotten in a longer run
USUAL = (
    2  # recompilations of a function: each makes what changed dynamic (a batch's size, a sequence's length) for good
)
KEPT_OUT = Factor(0.0, 0.0, 0.3)  # a value outside the function costs no compilation; some change its signature for it
WORST = 0.4  # a dynamic kernel takes longer to compile than a static one

_ATTRIBUTE = re.compile(r"(?:not )?[A-Za-z_][\w.\[\]'\"]*\.(\w+)\b(?!\()")

_NUMBER = re.compile(r"== -?\d+(?:\.\d+)?$")

RULE = Rule(
    title="torch.compile compiles the same function again and again",
    bottleneck="compile",
    needs=("steps", "compilations", "compile_loop_s", "compile_collections", "compiles", "partition", "source"),
)


def check(run: Evidence) -> Answer:
    """Add up the compilations after the first of each function."""
    noted = run.compilations
    if noted is None:
        return NotApplicable("torch.compile was not used")
    times = Counter(_frame(row) for row in noted.rows if row[5])
    again = [row for row in noted.rows if row[5] and times[_frame(row)] > USUAL]
    total = sum(row[4] for row in noted.rows)
    if not again or not total:
        return Passed(f"no function was compiled anew more than {max(times.values(), default=0)} times")
    # The first compilations come first, perhaps before the loop: what the others took is in it as far as there is room.
    compile_s = sum(facts.total_s for facts in run.compiles)
    in_loop_s = run.compile_loop_s + sum(run.compile_collections.values())
    again_s = min(in_loop_s, compile_s * sum(row[4] for row in again) / total)
    share = again_s / run.partition.loop_s
    gave_up = {_frame(row) for row in again if row[6]}
    if share < MIN_SHARE and not gave_up:
        return Passed(f"{len(again)} recompilations take {share:.1%} of loop time")
    return _diagnose(run, noted, again, again_s, share, gave_up)


def _diagnose(
    run: Evidence, noted: Compilations, again: list[Any], again_s: float, share: float, gave_up: set[str]
) -> Diagnosis:
    frames: dict[str, list[Any]] = {}
    for row in again:
        frames.setdefault(_frame(row), []).append(row)
    worst = max(frames, key=lambda frame: (frame in gave_up, sum(row[4] for row in frames[frame])))
    first = next((row for row in noted.rows if _frame(row) == worst and row[2]), again[0])
    function, file, line = first[1], first[2], first[3]
    reason = frames[worst][-1][5]
    changes = _changed(run, reason)
    in_loop = _in_loop(run)
    ended = f" After {noted.limit} of them torch.compile gave up: it runs uncompiled now." if worst in gave_up else ""
    return Diagnosis(
        title=f"{function} is compiled again and again",
        summary=(
            f"It was compiled anew {sum(not row[6] for row in frames[worst])} times, because this changed: {reason}. "
            f"Recompilations take {again_s:.1f} s, {share:.0%} of loop time.{ended}"
        ),
        where=place(_reader(run, Site(file, line, function), reason) or changes, Site(file, line, function))
        if file
        else [],
        fix=_fix(run, reason, changes),
        changes=[
            Scale(bucket, scope, again_s * seconds / sum(in_loop.values()), _left(reason, len(again)))
            for (bucket, scope), seconds in in_loop.items()
            if seconds > 0
        ],
        evidence={
            "recompilations": len(again),
            "seconds": round(again_s, 3),
            "limit": noted.limit,
            "why": {
                "columns": ["number", "function", "seconds", "what changed"],
                "rows": [[row[0], row[1] or function, round(row[4], 3), row[5]] for row in again[:20]],
            },
        },
        risk=Risk("medium", f"{function} runs uncompiled from here on") if worst in gave_up else None,
    )


def _reader(run: Evidence, function: Site, reason: str) -> Site | None:
    """The first line of the compiled function that reads the value that changed; None where that is handed to it."""
    definition = run.source.function_around(function.file, function.line)
    value = re.match(r"(?:not )?([A-Za-z_]\w*(?:\.\w+)*)", reason)
    if definition is None or value is None or _is_size(reason):
        return None
    name = value[1]
    arguments = {
        each.arg for each in (*definition.args.posonlyargs, *definition.args.args, *definition.args.kwonlyargs)
    }
    reads = [
        node.lineno
        for statement in definition.body
        for node in ast.walk(statement)
        if isinstance(node, (ast.Name, ast.Attribute)) and ast.unparse(node) == name
    ]
    return None if name in arguments or not reads else Site(function.file, min(reads), function.function)


def _changed(run: Evidence, reason: str) -> Site | None:
    """The only line that assigns the attribute that changed, but for where it is first made; None where others do."""
    attribute = _ATTRIBUTE.match(reason)
    if attribute is None or _is_size(reason):
        return None
    places = {
        (file, node.lineno)
        for file in run.source.files
        for node in ast.walk(run.source.tree(file))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr == attribute[1]
    }
    around = {place: run.source.function_around(*place) for place in places}
    sites = [
        Site(*place, function.name if function is not None else "<module>")
        for place, function in around.items()
        if function is None or function.name != "__init__"
    ]
    return sites[0] if len(sites) == 1 else None


def _in_module(run: Evidence, site: Site) -> bool:
    """Whether a line is in a class that looks like an nn.Module."""
    classes = (node for node in ast.walk(run.source.tree(site.file)) if isinstance(node, ast.ClassDef))
    around = [node for node in classes if has_line(node, site.line)]
    return any("Module" in ast.unparse(base) for node in around for base in node.bases)


def _frame(row: Any) -> str:
    return str(row[0]).partition("/")[0]


def _in_loop(run: Evidence) -> dict[tuple[str, str], float]:
    """Seconds of compilations in the loop, by bucket and scope, and of the collections that they set off."""
    compiled = {
        ("compile", scope): sum(facts.scopes.get(scope, 0.0) for facts in run.compiles)
        for scope in ("step", "off_step")
    }
    return compiled | {("gc", scope): seconds for scope, seconds in run.compile_collections.items()}


def _is_size(reason: str) -> bool:
    return "size mismatch" in reason or "stride mismatch" in reason or ".size()" in reason


def _left(reason: str, times: int) -> Factor:
    """Of the recompilations' time: a dynamic size is compiled for once more."""
    return Factor(0.0, 1 / times, max(WORST, 1 / times)) if _is_size(reason) else KEPT_OUT


def _fix(run: Evidence, reason: str, changes: Site | None) -> Fix:
    if _is_size(reason):
        return Fix(
            text="Tell torch.compile which sizes change, or keep them the same: drop_last=True, a few padded lengths.",
            diff=diff(
                [], ["torch._dynamo.mark_dynamic(batch, 0)  # before the compiled call; the dimension that changes"]
            ),
        )
    line = run.source.line(changes.file, changes.line) if changes is not None else ""
    target, counted, step = (part.strip() for part in line.partition("#")[0].partition("+="))
    if counted and _NUMBER.search(reason) and changes is not None and _in_module(run, changes):
        name = target.rpartition(".")[2]
        return Fix(
            text=(
                f"{name} is a Python number that every call changes, and compiled code holds for one value of it. Keep "
                "it as a tensor (a buffer of the module), and decide by torch.where or clamp instead of if, min or max."
            ),
            diff=diff(
                [line],
                [
                    f'self.register_buffer("{name}", torch.zeros(()), persistent=False)  # in __init__',
                    f"{target}.add_({step})",
                ],
            ),
        )
    return Fix(
        text=(
            "Keep the value that changes out of the compiled function: decide on it outside, or hand a number over as "
            "a tensor."
        ),
    )
