"""Finds the statements of a training loop that keep the autograd graph of their step, and what to detach in them."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slowprobe.diagnose.edits import replace_expressions
from slowprobe.diagnose.syntax import called_name, end_of, has_line
from slowprobe.run.record import Site
from slowprobe.timeline.sources import SourceText

MAX_CALLS = 2  # from the loop down to the line that keeps
_COLLECTS = ("append", "extend", "add", "appendleft", "insert")
_SAME_GRAPH = (  # methods of a tensor whose result has its graph; any other call is taken to cut it off
    "clone", "contiguous", "cpu", "cuda", "double", "flatten", "float", "half", "mean", "reshape", "squeeze", "sum",
    "to", "unsqueeze", "view",
)  # fmt: skip
_NO_TENSOR = ("data", "device", "dtype", "grad", "grad_fn", "is_leaf", "ndim", "requires_grad", "shape")

Function = ast.FunctionDef | ast.AsyncFunctionDef


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
        self._text = "\n".join(source.lines(backward.file))
        self._imported = _imported(source.tree(backward.file))
        self._given = _names(scope.target) if isinstance(scope, ast.For) else _parameters(scope)
        self._assigned = _assigned(scope)
        self._graph = self._with_graph()

    def statements(self) -> Iterator[KeptGraph]:
        for node in _simple_statements(self._scope):
            graph = {name for name in self._graph if not self._cut_before(name, node.lineno)}
            site = Site(self._backward.file, node.lineno, self._backward.function)
            for owner, value in _keeps(node):
                tensors = _tensors(value, graph)
                if tensors and not self._made_anew(owner, node) and not self._sums_without_graph(node):
                    yield KeptGraph(site, tuple(tensors), None)
            for call in _calls(node):
                yield from self._handed_over(call, site, graph)

    def _handed_over(self, call: ast.Call, site: Site, graph: set[str]) -> Iterator[KeptGraph]:
        found = _function(self._source, called_name(call))
        if found is None:
            return
        for parameter, argument in _passed(found[1], call):
            tensors = _tensors(argument, graph)
            inner = _kept_in(self._source, *found, parameter, MAX_CALLS) if tensors else None
            if inner is not None:
                yield KeptGraph(site, tuple(tensors), inner)

    def _with_graph(self) -> set[str]:
        """What backward is called on, and of what that is computed from the names that a module's call made."""
        backward = [
            node
            for node in ast.walk(self._scope)
            if isinstance(node, ast.Call) and called_name(node) == "backward" and has_line(node, self._backward.line)
        ]
        graph: set[str] = set()
        for call in backward:
            receiver = call.func.value if isinstance(call.func, ast.Attribute) else call.func
            named = _values(receiver) & set(self._assigned)
            graph |= named or set().union(*(_values(argument) for argument in call.args)) & set(self._assigned)
        behind, waiting = set(graph), list(graph)
        while waiting:
            for value in self._assigned.get(waiting.pop(), []):
                new = (_values(value) & set(self._assigned)) - behind - self._given
                behind |= new
                waiting += new
        for _ in behind:  # what is computed from a name with a graph has one
            graph |= {name for name in behind if any(self._has_graph(value, graph) for value in self._assigned[name])}
        return graph

    def _has_graph(self, value: ast.expr, graph: set[str]) -> bool:
        return bool(_values(value) & graph) or any(self._is_module(call) for call in _calls(value))

    def _is_module(self, call: ast.Call) -> bool:
        """Whether what is called has parameters: it is no data's method, no library's function, no class."""
        root = _root(call.func)
        if root in self._imported or root in self._given or root in self._assigned or hasattr(builtins, root):
            return False
        found = _function(self._source, called_name(call))
        if found is not None:
            handed = _parameters(found[1])
            return any(_root(part.func) in handed and _depth(part.func) <= 1 for part in _calls(found[1]))
        if isinstance(call.func, ast.Name):
            return self._source.find_class(call.func.id) is None
        if not isinstance(call.func, ast.Attribute):
            return False
        owner = ast.unparse(call.func.value)
        return owner == "self" or f"{owner}.parameters(" in self._text

    def _made_anew(self, owner: ast.expr, keeps: ast.stmt) -> bool:
        """Whether each turn begins with another container or sum."""
        name = ast.unparse(owner)
        return any(
            name in (ast.unparse(part) for part in _parts(target))
            for node in ast.walk(self._scope)
            if isinstance(node, ast.Assign) and node is not keeps
            for target in node.targets
        )

    def _cut_before(self, name: str, line: int) -> bool:
        """Whether the last assignment before a line made it anew without a graph: ``loss = loss.item()``."""
        earlier = [value for value in self._assigned[name] if value.lineno < line]
        last = max(earlier, key=lambda value: value.lineno, default=None)
        return isinstance(last, ast.Call) and name in _values(last) and not _tensors(last, {name})

    def _sums_without_graph(self, node: ast.stmt) -> bool:
        """A sum under no_grad has no graph; what is appended there keeps its own."""
        around = [each for each in ast.walk(self._scope) if isinstance(each, ast.With) and has_line(each, node.lineno)]
        words = " ".join(ast.unparse(item.context_expr) for each in around for item in each.items)
        return not isinstance(node, ast.Expr) and ("no_grad" in words or "inference_mode" in words)


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
    graph, made = {parameter}, _assigned(function)
    for name, values in made.items():
        if name != parameter and any(_tensors(value, graph) for value in values):
            graph.add(name)
    if any(not _tensors(value, graph) for value in made.get(parameter, [])):
        return None  # loss = loss.detach()
    for node in _simple_statements(function):
        for owner, value in _keeps(node):
            lasting = isinstance(owner, ast.Attribute) or _root(owner) not in made
            if lasting and _root(owner) not in graph and _tensors(value, graph):
                return Site(file, node.lineno, function.name)
        for call in _calls(node) if calls > 1 else ():
            found = _function(source, called_name(call))
            for name, argument in _passed(found[1], call) if found is not None else ():
                if _tensors(argument, graph) and found is not None:
                    inner = _kept_in(source, *found, name, calls - 1)
                    if inner is not None:
                        return inner
    return None


def _tensors(node: ast.expr, graph: set[str]) -> list[ast.expr]:
    """The expressions in a value whose graph it keeps."""
    if isinstance(node, ast.Name):
        return [node] if node.id in graph else []
    if isinstance(node, ast.Attribute):
        return [node] if node.attr not in _NO_TENSOR and _tensors(node.value, graph) else []
    if isinstance(node, ast.Subscript):
        return [node] if _tensors(node.value, graph) else []
    if isinstance(node, ast.Call):
        method = node.func if isinstance(node.func, ast.Attribute) and node.func.attr in _SAME_GRAPH else None
        return _tensors(method.value, graph) if method is not None else []
    inside: Sequence[ast.expr | None] = ()
    if isinstance(node, ast.BinOp):
        inside = (node.left, node.right)
    elif isinstance(node, ast.UnaryOp):
        inside = (node.operand,)
    elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        inside = node.elts
    elif isinstance(node, ast.Dict):
        inside = node.values
    elif isinstance(node, ast.Starred):
        inside = (node.value,)
    return [found for part in inside if part is not None for found in _tensors(part, graph)]


def _simple_statements(scope: ast.stmt) -> list[ast.stmt]:
    """In the order of the text."""
    found = [node for node in ast.walk(scope) if isinstance(node, ast.stmt) and not hasattr(node, "body")]
    return sorted(found, key=lambda node: node.lineno)


def _calls(node: ast.AST) -> list[ast.Call]:
    return [part for part in ast.walk(node) if isinstance(part, ast.Call)]


def _function(source: SourceText, name: str) -> tuple[str, Function] | None:
    """The only function or method of that name, and its file."""
    found = [
        (file, node)
        for file in source.files
        for node in ast.walk(source.tree(file))
        if isinstance(node, Function) and node.name == name
    ]
    return found[0] if len(found) == 1 else None


def _passed(function: Function, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    yield from zip(names[1:] if names[:1] in (["self"], ["cls"]) else names, call.args, strict=False)
    yield from ((keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg is not None)


def _assigned(scope: ast.stmt) -> dict[str, list[ast.expr]]:
    """The names that are assigned to, and what."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(scope):
        if not isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for part in _parts(target):
                if isinstance(part, ast.Name):
                    found.setdefault(part.id, []).append(node.value)
    return found


def _parts(target: ast.expr) -> list[ast.expr]:
    """The targets of one assignment: those of a tuple each."""
    return target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]


def _values(node: ast.expr) -> set[str]:
    """The names in an expression, without those of the functions and modules that are called."""
    called = {id(call.func) for call in _calls(node) if isinstance(call.func, ast.Name)}
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and id(part) not in called}


def _names(node: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _parameters(node: ast.stmt) -> set[str]:
    return (
        {part.arg for part in ast.walk(node.args) if isinstance(part, ast.arg)} if isinstance(node, Function) else set()
    )


def _imported(tree: ast.Module) -> set[str]:
    named = (node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)))
    return {(alias.asname or alias.name).partition(".")[0] for node in named for alias in node.names}


def _root(node: ast.expr) -> str:
    """``a`` of ``a.b[0].c``; empty for what begins with no name."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _depth(node: ast.expr) -> int:
    return ast.unparse(node).count(".")
