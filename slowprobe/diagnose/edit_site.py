"""The statement in the training loop that leads to a line: where the line is made to run less often, or elsewhere.

The first place of a finding is the line to edit. Where the time passes in a helper (a logger of one's own, a function
that asks a server), that is the call of the helper in the loop; the line in the helper comes second.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from slowprobe.diagnose.finding import Where
from slowprobe.diagnose.loop_syntax import (
    MAX_CALLERS,
    Loop,
    innermost_function,
    statements_around,
    trains_in,
)
from slowprobe.diagnose.observing import changes_tensors
from slowprobe.diagnose.syntax import called_name, end_of, last_name
from slowprobe.run.record import Site
from slowprobe.timeline.sources import Function, SourceText

NEVER_CALLED_BY_NAME = ("forward", "__getitem__", "__iter__", "__next__", "__enter__", "__exit__")


def edit_site(source: SourceText, site: Site, *, droppable: bool = False) -> Site:
    """The call in the code that trains (the body of its loop, or a function with the backward pass) that leads to it.

    The line itself where it is in such code already, or no caller is found. droppable: the call is to run less often.
    Then its result must not be used, and the function must neither change what is trained nor decide by itself when it
    does the work (``if step % every: return``): else the edit is in that function.
    """
    return _climb(source, site, MAX_CALLERS, droppable) or site


def edits_first(source: SourceText, where: Sequence[Where], *, droppable: bool = False) -> list[Where]:
    """Places of a finding by the lines to edit, with what is below each of them, then the lines where time passes."""
    calls: dict[Site, float] = {}
    for each in where:
        site = edit_site(source, Site(each.file, each.line, each.function), droppable=droppable)
        calls[site] = calls.get(site, 0.0) + each.share
    ranked = sorted(calls.items(), key=lambda entry: -entry[1])
    first = [Where(site.file, site.line, site.function, min(1.0, round(share, 3))) for site, share in ranked]
    named = {(each.file, each.line) for each in first}
    return [*first, *(each for each in where if (each.file, each.line) not in named)]


def _climb(source: SourceText, site: Site, callers: int, droppable: bool) -> Site | None:
    tree, trains = source.tree(site.file), trains_in("\n".join(source.lines(site.file)))
    around = statements_around(tree, site.line)
    scope = innermost_function(around)
    inside = around[around.index(scope) + 1 :] if scope is not None else around
    if any(isinstance(node, Loop) and trains(node) for node in inside) or (scope is not None and trains(scope)):
        return site
    if scope is None or not callers or scope.name in NEVER_CALLED_BY_NAME:
        return None
    if droppable and (_decides(scope, inside) or changes_tensors(source, site.file, site.line)):
        return None
    owner = next((node for node in reversed(around) if isinstance(node, ast.ClassDef)), None)
    owner = owner if owner is not None and scope in owner.body else None
    for file in [site.file, *(file for file in source.files if file != site.file)]:
        if file != site.file and source.only_function(scope.name) is None:
            continue  # a call in another file is no proof that it is meant
        for call in _calls(source.tree(file), scope, owner):
            if file == site.file and scope.lineno <= call.lineno <= end_of(scope):
                continue
            found = _climb(source, _named(source, file, call.lineno), callers - 1, droppable)
            if found is not None:
                direct = (found.file, found.line) == (file, call.lineno)
                return site if droppable and direct and _is_used(source.tree(file), call) else found
    return None


def _calls(tree: ast.Module, scope: Function, owner: ast.ClassDef | None) -> Iterator[ast.Call]:
    """Calls of a function, a method by its name, or of an object whose class can be called."""
    names = {scope.name}
    if owner is not None and scope.name == "__call__":
        made = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)]
        names = {
            last_name(target)
            for node in made
            if called_name(node.value) == owner.name  # type: ignore[arg-type]
            for target in node.targets
        } - {""}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called_name(node) in names:
            is_method = isinstance(node.func, ast.Attribute)
            if is_method or owner is None or scope.name == "__call__":
                yield node


def _named(source: SourceText, file: str, line: int) -> Site:
    function = source.function_around(file, line)
    return Site(file, line, function.name if function is not None else "<module>")


def _decides(scope: Function, inside: Sequence[ast.stmt]) -> bool:
    """Whether a function does the work of `inside` on a condition: an ``if`` around it, or a return before it."""
    first = inside[0].lineno if inside else scope.lineno
    conditions = [node for node in scope.body if isinstance(node, ast.If) and end_of(node) < first]
    returns = (isinstance(node, ast.Return) for each in conditions for node in ast.walk(each))
    return any(isinstance(node, ast.If) for node in inside) or any(returns)


def _is_used(tree: ast.Module, call: ast.Call) -> bool:
    """Whether anything reads what a call returns: it is not a statement by itself."""
    return not any(isinstance(node, ast.Expr) and node.value is call for node in ast.walk(tree))
