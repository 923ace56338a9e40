"""Tells loops over the values of an array, which one array operation replaces, from other loops, by their syntax."""

from __future__ import annotations

import ast

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.syntax import called_name, has_line
from slowprobe.timeline.hotspots import LineTime

PLAIN = ("len", "range", "float", "int", "bool", "min", "max", "abs", "round", "enumerate", "zip", "append", "item")


def is_element_loop(run: Evidence, line: LineTime) -> bool:
    """Whether the innermost loop around a line computes values one by one, each for itself.

    It calls nothing but arithmetic, stores by index, appends or sums up, and no value depends on the one before.
    """
    loops = [
        node for node in ast.walk(run.source.tree(line.file)) if isinstance(node, ast.For) and has_line(node, line.line)
    ]
    if not loops:
        return False
    loop = max(loops, key=lambda node: node.lineno)
    calls = [node for node in ast.walk(loop) if isinstance(node, ast.Call)]
    if not all(_is_arithmetic(call) for call in calls):
        return False
    assigned = [node for node in ast.walk(loop) if isinstance(node, ast.Assign)]
    stores = any(isinstance(target, ast.Subscript) for node in assigned for target in node.targets)
    sums = any(isinstance(node, ast.AugAssign) for node in ast.walk(loop))
    appends = any(called_name(call) == "append" for call in calls)
    return (stores or sums or appends) and not any(_carries(node) for node in assigned)


def _is_arithmetic(call: ast.Call) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return called_name(call) in PLAIN or (isinstance(owner, ast.Name) and owner.id in ("math", "cmath"))


def _carries(node: ast.Assign) -> bool:
    """``kept = 0.9 * kept + value``: no array operation does that."""
    names = {target.id for target in node.targets if isinstance(target, ast.Name)}
    return any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(node.value))
