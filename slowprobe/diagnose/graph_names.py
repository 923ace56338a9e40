"""Which names in a training loop hold tensors with the autograd graph of their step, by its syntax."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Sequence

from slowprobe.diagnose.syntax import called_name, has_line, names_in
from slowprobe.run.record import Site
from slowprobe.timeline.sources import Function, SourceText

_SAME_GRAPH = (  # methods of a tensor whose result has its graph; any other call is taken to cut it off
    "abs", "amax", "amin", "clamp", "clone", "contiguous", "cpu", "cuda", "double", "exp", "flatten", "float", "half",
    "log", "mean", "norm", "permute", "pow", "relu", "reshape", "sigmoid", "softmax", "sqrt", "square", "squeeze",
    "std", "sum", "tanh", "to", "transpose", "unsqueeze", "var", "view",
)  # fmt: skip
_NO_TENSOR = ("data", "device", "dtype", "grad", "grad_fn", "is_leaf", "ndim", "requires_grad", "shape")


class GraphNames:
    """The names with a graph in one scope around a backward pass: a loop, or a function without one."""

    def __init__(self, source: SourceText, backward: Site, scope: ast.stmt) -> None:
        self._source, self._backward, self._scope = source, backward, scope
        self._text = "\n".join(source.lines(backward.file))
        self._imported = _imported(source.tree(backward.file))
        self._given = names_in(scope.target) if isinstance(scope, ast.For) else _parameters(scope)
        self._assigned = assigned(scope)
        self._graph = self._with_graph()

    def at(self, line: int) -> set[str]:
        """Those that have one still at a line: no assignment before it made them anew without."""
        return {name for name in self._graph if not self._cut_before(name, line)}

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
        return self._with_what_follows(graph)

    def _with_what_follows(self, graph: set[str]) -> set[str]:
        """Besides, what backward does not need: another result of a module's call, and what is computed from names."""
        blocks = [node for node in ast.walk(self._scope) if isinstance(node, ast.With) and switches_off(node)]
        without = {id(part) for block in blocks for part in ast.walk(block)}
        values = {
            name: [value for value in values if id(value) not in without and name not in _values(value)]
            for name, values in self._assigned.items()
        }
        made = (value for name in graph for value in values[name] if isinstance(value, ast.Call))
        results = {id(value) for value in made if self._is_module(value)}
        found = graph | {name for name in values if any(id(value) in results for value in values[name])}
        while new := {name for name in values if any(with_graph(each, found) for each in values[name])} - found:
            found |= new
        return found

    def _has_graph(self, value: ast.expr, graph: set[str]) -> bool:
        return bool(_values(value) & graph) or any(self._is_module(call) for call in calls_in(value))

    def _is_module(self, call: ast.Call) -> bool:
        """Whether what is called has parameters: it is no data's method, no library's function, no class."""
        root = root_of(call.func)
        if root in self._imported or root in self._given or root in self._assigned or hasattr(builtins, root):
            return False
        found = self._source.only_function(called_name(call))
        if found is not None:
            handed = _parameters(found[1])
            return any(root_of(part.func) in handed and _depth(part.func) <= 1 for part in calls_in(found[1]))
        if isinstance(call.func, ast.Name):
            return self._source.find_class(call.func.id) is None
        if not isinstance(call.func, ast.Attribute):
            return False
        owner = ast.unparse(call.func.value)
        return owner == "self" or f"{owner}.parameters(" in self._text

    def _cut_before(self, name: str, line: int) -> bool:
        """Whether the last assignment before a line made it anew without a graph: ``loss = loss.item()``."""
        earlier = [value for value in self._assigned[name] if value.lineno < line]
        last = max(earlier, key=lambda value: value.lineno, default=None)
        return isinstance(last, ast.Call) and name in _values(last) and not with_graph(last, {name})


def with_graph(node: ast.expr, graph: set[str]) -> list[ast.expr]:
    """The expressions in a value whose graph it keeps."""
    if isinstance(node, ast.Name):
        return [node] if node.id in graph else []
    if isinstance(node, ast.Attribute):
        return [node] if node.attr not in _NO_TENSOR and with_graph(node.value, graph) else []
    if isinstance(node, ast.Subscript):
        return [node] if with_graph(node.value, graph) else []
    if isinstance(node, ast.Call):
        method = node.func if isinstance(node.func, ast.Attribute) and node.func.attr in _SAME_GRAPH else None
        return with_graph(method.value, graph) if method is not None else []
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
    return [found for part in inside if part is not None for found in with_graph(part, graph)]


def switches_off(block: ast.With) -> bool:
    """Whether no graph is recorded in a block."""
    words = " ".join(ast.unparse(item.context_expr) for item in block.items)
    return "no_grad" in words or "inference_mode" in words


def calls_in(node: ast.AST) -> list[ast.Call]:
    """All calls in a statement or an expression."""
    return [part for part in ast.walk(node) if isinstance(part, ast.Call)]


def assigned(scope: ast.stmt) -> dict[str, list[ast.expr]]:
    """The names that are assigned to, and what."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(scope):
        if not isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for part in parts_of(target):
                if isinstance(part, ast.Name):
                    found.setdefault(part.id, []).append(node.value)
    return found


def parts_of(target: ast.expr) -> list[ast.expr]:
    """The targets of one assignment: those of a tuple each."""
    return target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]


def _values(node: ast.expr) -> set[str]:
    """The names in an expression, without those of the functions and modules that are called."""
    called = {id(call.func) for call in calls_in(node) if isinstance(call.func, ast.Name)}
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and id(part) not in called}


def _parameters(node: ast.stmt) -> set[str]:
    return (
        {part.arg for part in ast.walk(node.args) if isinstance(part, ast.arg)} if isinstance(node, Function) else set()
    )


def _imported(tree: ast.Module) -> set[str]:
    named = (node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)))
    return {(alias.asname or alias.name).partition(".")[0] for node in named for alias in node.names}


def root_of(node: ast.expr) -> str:
    """``a`` of ``a.b[0].c``; empty for what begins with no name."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _depth(node: ast.expr) -> int:
    return ast.unparse(node).count(".")
