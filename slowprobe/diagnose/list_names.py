"""Whether an expression of the user's source is surely a list: by what its name or its attribute is given."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

from slowprobe.diagnose.syntax import called_name, has_line
from slowprobe.run.record import Site
from slowprobe.timeline.sources import SourceText

LISTS = ("tolist", "list", "tuple", "sorted")
MAX_DEPTH = 4  # names that are given other names


@dataclass(frozen=True)
class Names:
    """What names stand for at one place of the source.

    Of a local name, a value of which `converts` holds is not what it was before: ``rows = torch.tensor(rows)``.
    """

    source: SourceText
    site: Site
    converts: Callable[[ast.expr], bool]

    def is_list(self, node: ast.expr, depth: int = MAX_DEPTH) -> bool:
        """A list or a tuple: written out, made by a call, a part of one, or a name that is given only such."""
        if isinstance(node, (ast.List, ast.ListComp, ast.Tuple)):
            return True
        if isinstance(node, ast.Call):
            return called_name(node) in LISTS
        if isinstance(node, ast.Subscript):
            is_slice = isinstance(node.slice, ast.Slice)
            return self.is_list(node.value, depth) if is_slice else self._holds_lists(node.value, depth)
        return self._all(node, depth, self.is_list) or self._is_column(node)

    def _holds_lists(self, node: ast.expr, depth: int) -> bool:
        """Whether each element of a list is a list."""
        if isinstance(node, ast.ListComp):
            return isinstance(node.elt, (ast.List, ast.ListComp, ast.Tuple)) or (
                isinstance(node.elt, ast.Call) and called_name(node.elt) in LISTS
            )
        if isinstance(node, ast.List):
            return bool(node.elts) and all(isinstance(each, (ast.List, ast.ListComp, ast.Tuple)) for each in node.elts)
        return self._all(node, depth, self._holds_lists)

    def _all(self, node: ast.expr, depth: int, holds: Callable[[ast.expr, int], bool]) -> bool:
        """Whether it holds of everything that a name or an attribute of self is given."""
        if depth <= 0:
            return False
        values = self._attribute(node) if isinstance(node, ast.Attribute) else self._name(node)
        return bool(values) and all(holds(each, depth - 1) for each in values)

    def _attribute(self, node: ast.Attribute) -> list[ast.expr]:
        """What ``self.rows`` is given anywhere in the class; nothing where a line of it cannot be told."""
        if getattr(node.value, "id", "") != "self":
            return []
        tree, line = self.source.tree(self.site.file), self.site.line
        classes = [each for each in ast.walk(tree) if isinstance(each, ast.ClassDef) and has_line(each, line)]
        if not classes:
            return []
        within = max(classes, key=lambda each: each.lineno)
        stored = [
            each
            for each in ast.walk(within)
            if isinstance(each, ast.Attribute) and each.attr == node.attr and isinstance(each.ctx, ast.Store)
        ]
        values = _values(within, ast.unparse(node))
        return values if len(values) == len(stored) else []

    def _name(self, node: ast.expr) -> list[ast.expr]:
        """What a name is given in its function; in the module, where the function only reads it."""
        if not isinstance(node, ast.Name):
            return []
        function = self._function()
        if function is not None and _binds(function, node.id):
            return [value for value in _values(function, node.id) if not self.converts(value)]
        tree = self.source.tree(self.site.file)
        return _values(tree if function is None else ast.Module(_at_top(tree), []), node.id)

    def _is_column(self, node: ast.expr) -> bool:
        """``states, actions = zip(*rows)``: each of the names is a tuple."""
        return (
            isinstance(node, ast.Name)
            and not self._name(node)
            and any(
                called_name(each.value) == "zip"
                and any(
                    isinstance(part, ast.Name) and part.id == node.id for to in each.targets for part in ast.walk(to)
                )
                for each in ast.walk(self._function() or self.source.tree(self.site.file))
                if isinstance(each, ast.Assign) and isinstance(each.value, ast.Call)
            )
        )

    def _function(self) -> ast.AST | None:
        return self.source.function_around(self.site.file, self.site.line)


def is_attribute(node: ast.expr) -> bool:
    """``self.rows``, ``self.rows[at]`` or ``self.rows[first:last]``."""
    owner = node.value if isinstance(node, ast.Subscript) else node
    return isinstance(owner, ast.Attribute) and getattr(owner.value, "id", "") == "self"


def _values(within: ast.AST, target: str) -> list[ast.expr]:
    """What is assigned to a plain target, ``rows`` or ``self.rows``."""
    found: list[ast.expr] = []
    for node in ast.walk(within):
        if isinstance(node, ast.Assign):
            found += [node.value for each in node.targets if ast.unparse(each) == target]
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)) and ast.unparse(node.target) == target and node.value:
            found.append(node.value)
    return found


def _binds(function: ast.AST, name: str) -> bool:
    """Whether the name is the function's own: a parameter, or stored in any way."""
    return any(
        (isinstance(node, ast.arg) and node.arg == name)
        or (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store))
        for node in ast.walk(function)
    )


def _at_top(tree: ast.Module) -> list[ast.stmt]:
    """The module's statements outside functions and classes."""
    return [each for each in tree.body if not isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))]
