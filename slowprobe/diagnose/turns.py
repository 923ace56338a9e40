"""Where in the user's loop a line runs, and the edit that makes it run less often."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from slowprobe.diagnose.edits import diff, wrap_statement
from slowprobe.diagnose.loop_syntax import (
    MAX_CALLERS,
    Loop,
    Trains,
    calls_of,
    innermost_function,
    parsed,
    statements_around,
    trains_in,
)
from slowprobe.diagnose.syntax import called_name, end_of, has_line
from slowprobe.run.record import Site
from slowprobe.timeline.sources import Function, SourceText

_LEAVES = (ast.Return, ast.Raise, ast.Yield, ast.YieldFrom)  # what a caller is given cannot be left out
MAX_LINES = 12  # a diff that shows more is no longer read


@dataclass(frozen=True)
class Turn:
    """A statement in the body of a loop: the line itself, or the call that leads to it.

    A function that is one step of training stands for the loop that calls it, which may be in another file.

    guard: the ``if step % 100 == 0`` it stands under already; called: whether the line is in a function that the loop
    calls and that does no training itself; trains: whether the loop is seen to train. A callback's loop is in another
    file: there, loop is None and the statement is the guard.
    """

    file: str
    loop: Loop | Function | None
    statement: ast.stmt
    guard: ast.If | None
    called: bool
    function: str
    trains: bool = True

    @property
    def site(self) -> Site:
        """The statement as a place."""
        return Site(self.file, self.statement.lineno, self.function)


def turn_of(source: SourceText, site: Site | None) -> Turn | None:
    """Where the loop that trains comes to a line; None where no loop of the same file leads to it.

    Where no loop is seen to train (the training is in another file), a condition on a step counter on the way counts,
    else the innermost loop around the line.
    """
    return None if site is None else _turn_at(site.file, "\n".join(source.lines(site.file)), site.line)


@lru_cache(maxsize=4096)
def _turn_at(file: str, text: str, line: int) -> Turn | None:
    tree, trains = parsed(text), trains_in(text)
    called, other = False, None
    guard: ast.If | None = None
    for _ in range(MAX_CALLERS):
        around = statements_around(tree, line)
        scope = innermost_function(around)
        body = around[around.index(scope) + 1 :] if scope is not None else around
        loops = [node for node in body if isinstance(node, Loop)]
        loop = next((node for node in reversed(loops) if trains(node)), None)
        inner = body[body.index(loop or loops[-1]) + 1 :] if loops else body
        guard = guard or next((node for node in reversed(inner) if isinstance(node, ast.If) and _is_guard(node)), None)
        if loops and inner and not trains(inner[-1]):
            function = scope.name if scope is not None else "<module>"
            outermost = _outside_inner_loops(inner)
            turn = Turn(file, loop or loops[-1], outermost, guard, called, function, loop is not None)
            if loop is not None:
                return turn
            other = other or turn
        if scope is None:
            break
        if trains(scope):
            statement = _outside_inner_loops(body) if body else None
            leaves = statement is not None and any(isinstance(node, _LEAVES) for node in ast.walk(statement))
            if statement is not None and not leaves and not trains(statement) and _is_step(tree, trains, scope):
                return Turn(file, scope, statement, guard, called, scope.name)
            break
        caller = next((call for call in calls_of(tree, scope.name) if not scope.lineno <= call <= end_of(scope)), None)
        if caller is None:
            break
        line, called = caller, True
    if guard is not None and (other is None or other.guard is not guard):
        holder = innermost_function(statements_around(tree, guard.lineno))
        return Turn(file, None, guard, guard, True, holder.name if holder else "<module>", trains=False)
    return other


def _is_step(tree: ast.Module, trains: Trains, function: Function) -> bool:
    """Whether a function has a backward pass once a call, and a loop calls it, or nothing in its file does."""
    if any(isinstance(node, Loop) and trains(node) for node in ast.walk(function)):
        return False
    if not any(isinstance(node, ast.Call) and called_name(node) == "backward" for node in ast.walk(function)):
        return False  # a scheduler's step is an epoch's
    calls = [line for line in calls_of(tree, function.name) if not has_line(function, line)]
    return not calls or any(isinstance(node, Loop) for line in calls for node in statements_around(tree, line))


def loop_that_calls(source: SourceText, file: str, line: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """A loop of the same file, inside one training step, that calls the function around a line; and that function.

    First and last lines of both. None where a loop that trains calls it: there it runs once a step.
    """
    text = "\n".join(source.lines(file))
    tree, trains = parsed(text), trains_in(text)
    scope = innermost_function(statements_around(tree, line))
    if scope is None:
        return None
    for call in calls_of(tree, scope.name, plain=True):
        around = statements_around(tree, call)
        holder = innermost_function(around)
        inside = around[around.index(holder) + 1 :] if holder is not None else around
        loops = [node for node in inside if isinstance(node, Loop)]
        if loops and not scope.lineno <= call <= end_of(scope):
            loop = loops[-1]
            return None if trains(loop) else ((loop.lineno, end_of(loop)), (scope.lineno, end_of(scope)))
    return None


def beside(source: SourceText, site: Site) -> list[tuple[int, int]]:
    """First and last lines of the statements in the same block as a line, itself included."""
    tree = parsed("\n".join(source.lines(site.file)))
    around = statements_around(tree, site.line)
    if not around:
        return [(site.line, site.line)]
    parent: ast.AST = around[-2] if len(around) > 1 else tree
    for name in ("body", "orelse", "finalbody"):
        block = getattr(parent, name, [])
        if isinstance(block, list) and around[-1] in block:
            return [(node.lineno, end_of(node)) for node in block]
    return [(around[-1].lineno, end_of(around[-1]))]


def rarer(source: SourceText, sites: Sequence[Site | None], times: int) -> str:
    """A diff after which the lines run `times` less often; empty where their source is unknown.

    All of `sites` that run in the same turn of the loop as the first are changed together. Where no loop is seen to
    lead to them, the first line itself goes under a condition on ``step``.
    """
    turns = [turn for site in sites if (turn := turn_of(source, site)) is not None]
    if not turns:
        return wrap_statement(source, sites[0], f"if step % {times} == 0:") if sites else ""
    first = turns[0]
    if first.guard is not None:
        return _raise_interval(source, first, times)
    together = {turn.statement: None for turn in turns if turn.loop is first.loop and turn.guard is None}
    counter, head = _counter(source, first)
    margin = "    " if head else ""
    removed, added = list(head[:1]), list(head[1:])
    before: ast.stmt | None = None
    for node in sorted(together, key=lambda node: node.lineno):
        lines = [margin + line for line in _lines(source, first.file, node)]
        if before is None or not _adjoin(source, first.file, before, node):
            added.append(f"{margin}if {counter} % {times} == 0:")
        removed += lines
        added += [f"    {line}" for line in lines]
        before = node
    return diff(removed, added) if len(removed) <= MAX_LINES else ""


def _adjoin(source: SourceText, file: str, before: ast.stmt, after: ast.stmt) -> bool:
    between = source.lines(file)[end_of(before) : after.lineno - 1]
    return before.col_offset == after.col_offset and all(not line.partition("#")[0].strip() for line in between)


def _raise_interval(source: SourceText, turn: Turn, times: int) -> str:
    guard = turn.guard
    assert guard is not None
    modulo = next(node for node in ast.walk(guard.test) if _is_interval(node))
    number = modulo.right  # type: ignore[attr-defined]
    constant = isinstance(number, ast.Constant) and isinstance(number.value, int)
    raised = str(number.value * times) if constant else f"({times} * {ast.unparse(number)})"
    line = source.lines(turn.file)[number.lineno - 1]
    start, end = (len(line.encode()[:column].decode()) for column in (number.col_offset, number.end_col_offset))
    return diff([line.strip()], [(line[:start] + raised + line[end:]).strip()])


def _counter(source: SourceText, turn: Turn) -> tuple[str, tuple[str, ...]]:
    """The name that counts the loop's turns; where there is none, also the loop's head before and after it gets one."""
    loop = turn.loop
    assert loop is not None
    if isinstance(loop, (ast.For, ast.AsyncFor)):
        called = {called_name(node) for node in ast.walk(loop.iter) if isinstance(node, ast.Call)}
        if "enumerate" in called and isinstance(loop.target, ast.Tuple):
            return ast.unparse(loop.target.elts[0]), ()
        if called & {"range", "trange", "count"} and isinstance(loop.target, ast.Name) and "zip" not in called:
            return loop.target.id, ()
    for node in ast.walk(loop):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and _is_one(node.value):
            if isinstance(loop, Function) and not isinstance(node.target, ast.Attribute):
                continue  # begins anew at each call
            return ast.unparse(node.target), ()
    if not isinstance(loop, ast.For) or loop.lineno != (loop.iter.end_lineno or 0):
        return "step", ()
    target = ast.unparse(loop.target)
    target = target if isinstance(loop.target, ast.Name) or target.startswith("(") else f"({target})"
    head = source.line(turn.file, loop.lineno)
    return "step", (head, f"for step, {target} in enumerate({ast.unparse(loop.iter)}):")


def _outside_inner_loops(inner: list[ast.stmt]) -> ast.stmt:
    return next((node for node in inner if isinstance(node, Loop)), inner[-1])


def _is_guard(node: ast.If) -> bool:
    return any(_is_interval(part) for part in ast.walk(node.test))


def _is_interval(node: ast.AST) -> bool:
    """``… % 100``, or ``… % eval_interval``."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mod):
        return False
    if isinstance(node.right, ast.Constant):
        return isinstance(node.right.value, int)
    return isinstance(node.right, (ast.Name, ast.Attribute)) and not isinstance(node.left, ast.Constant)


def _is_one(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 1


def _lines(source: SourceText, file: str, node: ast.stmt) -> list[str]:
    return textwrap.dedent("\n".join(source.lines(file)[node.lineno - 1 : end_of(node)])).splitlines()
