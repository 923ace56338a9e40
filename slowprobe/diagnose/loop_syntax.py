"""Syntax of a training loop: the statements around a line, who calls a function, and which statements train."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from slowprobe.diagnose.syntax import called_name, end_of, has_line
from slowprobe.timeline.sources import Function

Loop = ast.For | ast.AsyncFor | ast.While
MAX_CALLERS = 3  # from a helper up to the loop
_TRAINS = re.compile(r"\.backward\(|(?<!\benv)(?<!\benvs)\.step\(")  # env.step() is a simulator's


class Trains:
    """Whether a statement trains: it, or a function of the same file that it calls, has a backward pass or a step."""

    def __init__(self, lines: Sequence[str], tree: ast.Module) -> None:
        self._lines = lines
        functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
        self._names = {node.name for node in functions if self._says_so(node)}
        for _ in range(MAX_CALLERS):
            self._names |= {node.name for node in functions if self(node)}

    def __call__(self, node: ast.stmt) -> bool:
        called = {called_name(part) for part in ast.walk(node) if isinstance(part, ast.Call)}
        return self._says_so(node) or bool(called & self._names)

    def _says_so(self, node: ast.stmt) -> bool:
        return any(_TRAINS.search(line) for line in self._lines[node.lineno - 1 : end_of(node)])


@lru_cache(maxsize=16)
def trains_in(text: str) -> Trains:
    """What trains in a file of this text."""
    return Trains(text.splitlines(), parsed(text))


def calls_of(tree: ast.Module, function: str, plain: bool = False) -> Iterator[int]:
    """Lines that call a function of this name; plain: not as a method of some object, which may be another's."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or called_name(node) != function:
            continue
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if not plain or owner is None or (isinstance(owner, ast.Name) and owner.id == "self"):
            yield node.lineno


def statements_around(tree: ast.Module, line: int) -> list[ast.stmt]:
    """The statements around a line, outermost first."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and has_line(node, line)]
    return sorted(found, key=lambda node: (node.lineno, -end_of(node)))


def innermost_function(around: list[ast.stmt]) -> Function | None:
    """The last function definition of `statements_around`."""
    functions = [node for node in around if isinstance(node, Function)]
    return functions[-1] if functions else None


@lru_cache(maxsize=16)
def parsed(text: str) -> ast.Module:
    """The syntax tree of a text; an empty one where it has none."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module(body=[], type_ignores=[])
