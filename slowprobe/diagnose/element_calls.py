"""Tells functions that call Python for each element or row of an array or table, at which of the user's lines."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

from slowprobe.diagnose.element_loops import PLAIN
from slowprobe.diagnose.syntax import called_name, has_line, last_name
from slowprobe.run.record import Site
from slowprobe.timeline.making_stacks import StackTime
from slowprobe.timeline.sources import SourceText

_APPLYING = ("apply_along_axis", "apply_over_axes")
_MAKING = ("vectorize", "frompyfunc")  # these give a function that is called later
_OF_TABLES = ("apply", "map", "applymap", "iterrows")
_PANDAS = re.compile(r"/pandas/core/")
_NUMPY = ("np", "numpy", "math", "cmath")
_OF_ARRAYS = (
    "mean",
    "sum",
    "std",
    "var",
    "min",
    "max",
    "dot",
    "argmin",
    "argmax",
    "clip",
    "astype",
    "prod",
    "any",
    "all",
)


def element_call_at(source: SourceText, stack: StackTime) -> Site | None:
    """The user's outermost line below the loader that has Python called for each element; None where there is none.

    Only such as array operations can replace: what is called does nothing but arithmetic.
    """
    loader = max((at for at, frame in enumerate(stack.frames) if "/torch/utils/data/" in frame.file), default=-1)
    of_tables = any(_PANDAS.search(frame.file) for frame in stack.frames[loader + 1 :])
    for index in range(loader + 1, len(stack.frames)):
        site = stack.site_at(index) if stack.users[index] else None
        if site is not None and _calls(source, site, of_tables):
            return site
    return None


@lru_cache(maxsize=4096)
def _calls(source: SourceText, site: Site, of_tables: bool) -> bool:
    tree = source.tree(site.file)
    first, last = source.statement(site)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and first <= node.lineno <= last]
    made = _made(tree)
    for call in calls:
        name = called_name(call)
        if name in (*_APPLYING, *_MAKING) or (name == "map" and isinstance(call.func, ast.Name)):
            applied = call.args[0] if call.args else None
        elif name in made:
            applied = made[name]
        elif of_tables and name in _OF_TABLES and name != "iterrows":
            applied = call.args[0] if call.args else None
        else:
            continue
        if applied is not None and _is_arithmetic(source, applied, mapped=name == "map" and not of_tables):
            return True
    return of_tables and _in_rows(tree, site.line)


def _made(tree: ast.AST) -> dict[str, ast.expr]:
    """Names that were given a function of np.vectorize or np.frompyfunc, with what that calls."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and node.value.args:
            for target in node.targets:
                name = last_name(target)
                if name and called_name(node.value) in _MAKING:
                    found[name] = node.value.args[0]
        elif isinstance(node, ast.FunctionDef) and any(_last(each) in _MAKING for each in node.decorator_list):
            found[node.name] = ast.Name(id=node.name)
    return found


def _is_arithmetic(source: SourceText, applied: ast.expr, mapped: bool) -> bool:
    """Whether what is called for each element only computes. `mapped`: a type alone (``map(int, …)``) is no such."""
    if isinstance(applied, ast.Attribute):
        return _last(applied.value) in _NUMPY
    body: ast.AST | None = applied if isinstance(applied, ast.Lambda) else None
    if isinstance(applied, ast.Name):
        found = source.only_function(applied.id)
        if found is None:
            return not mapped and applied.id in PLAIN
        body = found[1]
    if body is None:
        return False
    parts = (
        [node for statement in body.body for node in ast.walk(statement)]
        if isinstance(body, ast.FunctionDef)
        else [*ast.walk(body)]
    )
    return all(_computes(node) for node in parts if isinstance(node, ast.Call))


def _computes(call: ast.Call) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    name = called_name(call)
    return name in PLAIN or name in _OF_ARRAYS or (owner is not None and _last(owner) in _NUMPY)


def _in_rows(tree: ast.AST, line: int) -> bool:
    """Whether a line is in a loop over the rows of a table."""
    return any(
        isinstance(node, ast.For)
        and has_line(node, line)
        and any(isinstance(part, ast.Call) and called_name(part) == "iterrows" for part in ast.walk(node.iter))
        for node in ast.walk(tree)
    )


def _last(node: ast.expr) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    return last_name(node)
