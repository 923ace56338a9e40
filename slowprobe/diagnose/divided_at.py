"""The line on which an iterable dataset takes a worker's part of its data."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from slowprobe.diagnose.syntax import called_name
from slowprobe.run.record import Site
from slowprobe.timeline.sources import SourceText

_ASKS = "get_worker_info"
_TAKES = ("range", "islice", "array_split", "split", "shard")  # calls that take a part, given where it begins
_SEEDS = ("default_rng", "Generator", "Random", "RandomState", "manual_seed", "seed", "SeedSequence")


def divided_at(source: SourceText, asked: Site) -> Site:
    """The first subscript, range or remainder that depends on the worker's number; else the line that asks for it.

    A worker's number in the seed of its random numbers divides nothing.
    """
    function = source.function_around(asked.file, asked.line)
    if function is None:
        return asked
    names = _dependent(function)
    lines = [node.lineno for node in ast.walk(function) if isinstance(node, ast.expr) and _takes_part(node, names)]
    return Site(asked.file, min(lines), function.name) if lines else asked


def _dependent(function: ast.AST) -> set[str]:
    """Names whose values come from the worker's number, by way of others, too."""
    given = [(node.targets, node.value) for node in ast.walk(function) if isinstance(node, ast.Assign)]
    given += [([node.target], node.value) for node in ast.walk(function) if isinstance(node, ast.NamedExpr)]
    names: set[str] = set()
    while True:
        more = {
            name.id
            for targets, value in given
            if _depends(value, names)
            for target in targets
            for name in ast.walk(target)
            if isinstance(name, ast.Name)
        }
        if more <= names:
            return names
        names |= more


def _depends(node: ast.AST, names: set[str]) -> bool:
    return any(
        (isinstance(each, ast.Name) and each.id in names) or (isinstance(each, ast.Call) and called_name(each) == _ASKS)
        for each in _without_seeds(node)
    )


def _takes_part(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Subscript):
        return _depends(node.slice, names)
    if isinstance(node, ast.Call) and called_name(node) in _TAKES:
        return any(_depends(argument, names) for argument in node.args)
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and _depends(node.right, names)


def _without_seeds(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call) and called_name(node) in _SEEDS:
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _without_seeds(child)
