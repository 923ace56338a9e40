"""What rules ask of a node of a user's syntax tree: its last line, whether a line is in it, and names."""

from __future__ import annotations

import ast


def end_of(node: ast.stmt | ast.expr) -> int:
    """The last line of a statement or an expression."""
    return node.end_lineno or node.lineno


def has_line(node: ast.stmt | ast.expr, line: int) -> bool:
    """Whether a line is one of the node's."""
    return node.lineno <= line <= end_of(node)


def innermost(nodes: list[ast.stmt]) -> ast.stmt:
    """Of statements around one line, the one inside all others."""
    return max(nodes, key=lambda node: (node.lineno, -end_of(node)))


def last_name(node: ast.expr) -> str:
    """``c`` of ``a.b.c`` and ``c`` of ``c``; empty for what has no name."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def names_in(*nodes: ast.AST) -> set[str]:
    """All plain names in the nodes, read or assigned to."""
    return {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}


def called_name(call: ast.Call) -> str:
    """The last part of the name of what is called; empty where it has none."""
    return last_name(call.func)
