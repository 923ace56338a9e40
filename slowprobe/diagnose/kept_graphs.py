"""Finds the statements of a training loop that keep the autograd graph of their step, and what to detach in them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from slowprobe.diagnose.edits import replace_expressions
from slowprobe.diagnose.graph_names import (
    GraphNames,
    assigned,
    calls_in,
    parts_of,
    root_of,
    switches_off,
    with_graph,
)
from slowprobe.diagnose.syntax import called_name, end_of, has_line, names_in
from slowprobe.run.record import Site
from slowprobe.timeline.sources import Function, SourceText

MAX_CALLS = 2  # from the loop down to the line that keeps
_COLLECTS = ("append", "extend", "add", "appendleft", "insert")


@dataclass(frozen=True)
class KeptGraph:
    """A statement that keeps a graph, and the line that does so in the function which it calls."""

    site: Site
    tensors: tuple[ast.expr, ...]
    """What is kept: detach() belongs behind each."""
    inner: Site | None

    def detached(self, source: SourceText) -> str:
        """A diff that keeps the values only."""
        return replace_expressions(
            source, self.site, [(node, f"{ast.unparse(node)}.detach()") for node in self.tensors]
        )


def kept_graphs(source: SourceText, backward: Site) -> list[KeptGraph]:
    """The statements that keep graphs in the loop around a backward pass, or in its function where that has no loop."""
    lines = source.loop_around(backward.file, backward.line)
    scope: ast.stmt | None = source.function_around(backward.file, backward.line)
    if lines is not None:
        loops = (node for node in ast.walk(source.tree(backward.file)) if isinstance(node, ast.For | ast.While))
        scope = next((node for node in loops if (node.lineno, end_of(node)) == lines), scope)
    if scope is None:
        return []
    return list(_Kept(source, backward, scope).statements())


class _Kept:
    """One loop, and the names in it that have a graph."""

    def __init__(self, source: SourceText, backward: Site, scope: ast.stmt) -> None:
        self._source, self._backward, self._scope = source, backward, scope
        self._names = GraphNames(source, backward, scope)

    def statements(self) -> Iterator[KeptGraph]:
        for node in _simple_statements(self._scope):
            graph = self._names.at(node.lineno)
            site = Site(self._backward.file, node.lineno, self._backward.function)
            for owner, value in _keeps(node):
                tensors = with_graph(value, graph)
                if tensors and not self._made_anew(owner, node) and not self._sums_without_graph(node):
                    yield KeptGraph(site, tuple(tensors), None)
            for call in calls_in(node):
                yield from self._handed_over(call, site, graph)

    def _handed_over(self, call: ast.Call, site: Site, graph: set[str]) -> Iterator[KeptGraph]:
        found = self._source.only_function(called_name(call))
        if found is None:
            return
        for parameter, argument in _passed(found[1], call):
            tensors = with_graph(argument, graph)
            inner = _kept_in(self._source, *found, parameter, MAX_CALLS) if tensors else None
            if inner is not None:
                yield KeptGraph(site, tuple(tensors), inner)

    def _made_anew(self, owner: ast.expr, keeps: ast.stmt) -> bool:
        """Whether each turn begins with another container or sum."""
        name = ast.unparse(owner)
        return any(
            name in (ast.unparse(part) for part in parts_of(target))
            for node in ast.walk(self._scope)
            if isinstance(node, ast.Assign) and node is not keeps
            for target in node.targets
        )

    def _sums_without_graph(self, node: ast.stmt) -> bool:
        """A sum under no_grad has no graph; what is appended there keeps its own."""
        around = [each for each in ast.walk(self._scope) if isinstance(each, ast.With) and has_line(each, node.lineno)]
        return not isinstance(node, ast.Expr) and any(switches_off(each) for each in around)


def _keeps(node: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What a statement adds to, and what it adds."""
    if isinstance(node, ast.AugAssign):
        yield node.target, node.value
    elif isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        if isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Constant):
            yield target.value, node.value
        elif isinstance(target, (ast.Name, ast.Attribute)) and isinstance(node.value, ast.BinOp):
            parts = [ast.unparse(part) for part in ast.walk(node.value) if isinstance(part, (ast.Name, ast.Attribute))]
            if ast.unparse(target) in parts:
                yield target, node.value
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        if isinstance(called, ast.Attribute) and called.attr in _COLLECTS:
            for argument in node.value.args:
                yield called.value, argument


def _kept_in(source: SourceText, file: str, function: Function, parameter: str, calls: int) -> Site | None:
    """The line in a function that keeps a parameter on an attribute, in a global or in another parameter."""
    graph, made = {parameter}, assigned(function)
    for name, values in made.items():
        if name != parameter and any(with_graph(value, graph) for value in values):
            graph.add(name)
    for loop in (node for node in ast.walk(function) if isinstance(node, ast.For)):
        if names_in(loop.iter) & graph:
            graph |= names_in(loop.target)  # for name, value in values.items()
    if any(not with_graph(value, graph) for value in made.get(parameter, [])):
        return None  # loss = loss.detach()
    for node in _simple_statements(function):
        for owner, value in _keeps(node):
            lasting = isinstance(owner, ast.Attribute) or root_of(owner) not in made
            if lasting and root_of(owner) not in graph and with_graph(value, graph):
                return Site(file, node.lineno, function.name)
        for call in calls_in(node) if calls > 1 else ():
            found = source.only_function(called_name(call))
            for name, argument in _passed(found[1], call) if found is not None else ():
                if with_graph(argument, graph) and found is not None:
                    inner = _kept_in(source, *found, name, calls - 1)
                    if inner is not None:
                        return inner
    return None


def _simple_statements(scope: ast.stmt) -> list[ast.stmt]:
    """In the order of the text."""
    found = [node for node in ast.walk(scope) if isinstance(node, ast.stmt) and not hasattr(node, "body")]
    return sorted(found, key=lambda node: node.lineno)


def _passed(function: Function, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    yield from zip(names[1:] if names[:1] in (["self"], ["cls"]) else names, call.args, strict=False)
    named = {*names, *(argument.arg for argument in function.args.kwonlyargs)}
    rest = function.args.kwarg
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield (rest.arg if rest is not None and keyword.arg not in named else keyword.arg), keyword.value
