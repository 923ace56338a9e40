"""Tells whether a line reads the same from a file for every item: all of an array in an archive, an unpickled file."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Sequence

from slowprobe.diagnose.call_names import called, names_match
from slowprobe.diagnose.same_file import OPENERS, Function, opens_same, statement_text, varies
from slowprobe.diagnose.syntax import end_of
from slowprobe.run.record import Site
from slowprobe.timeline.sources import SourceText

LAZY = (
    "h5py.File", "lmdb.open", "zarr.open", "zarr.open_group", "zarr.open_array", "np.memmap", "numpy.memmap",
    "netCDF4.Dataset", "xr.open_dataset", "safe_open",
)  # fmt: skip
"""Naming a part of these reads nothing yet; an index behind the name does."""
_GO_ON = ("readline", "__next__")  # what these read depends on what was read before


def reader_at(source: SourceText, sites: Sequence[Site]) -> tuple[str, ast.Call] | None:
    """The call that opened the file of which the first of `sites` reads what it read for every other item.

    `sites`: innermost first, then its callers. None where the item says what is read, or from where.
    """
    function = source.function_around(sites[0].file, sites[0].line) if sites else None
    if function is None:
        return None
    for handle, name, call, scope in _handles(function):
        statements = [node for node in ast.walk(scope) if isinstance(node, ast.stmt) and call not in ast.walk(node)]
        here = [node for node in statements if node.lineno <= sites[0].line <= _head_end(node)]
        readings = [_deciding(use, names_match(name, LAZY)) for node in here for use in _uses(node, handle)]
        sought = [_deciding(use, True) for node in statements for use in _uses(node, handle) if _method(use) == "seek"]
        opened = [Site(sites[0].file, call.lineno, sites[0].function), *sites[1:]]
        if not readings or not opens_same(source, opened, name, call):
            continue
        deciding = [*readings, *sought]
        if not any(parts is None or any(varies(source, sites, part) for part in parts) for parts in deciding):
            return name, call
    return None


def reads_items(source: SourceText, site: Site, name: str) -> bool:
    """Whether a statement that opens a file with `name` reads the item from it, too: ``h5py.File(path)["x"][i]``."""
    if not names_match(name, (*LAZY, "open", "ZipFile", "tarfile.open", "sqlite3.connect", "ParquetFile")):
        return False  # it reads the whole file, and an item of that is looked up
    for text in (statement_text(source, site), statement_text(source, site) + "\n    pass"):
        try:
            statement = ast.parse(text).body[0]
        except (SyntaxError, ValueError, IndexError):
            continue
        bound = [item.context_expr for item in statement.items] if isinstance(statement, ast.With) else []
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Return) and statement.value is not None:
            bound.append(statement.value)
        return not any(isinstance(each, ast.Call) and _names(each, name) for each in bound)
    return True


def _names(call: ast.Call, name: str) -> bool:
    return names_match(ast.unparse(call.func), (name,))


def _head_end(node: ast.stmt) -> int:
    """The last line of a statement; of a compound one, of its head."""
    body = getattr(node, "body", None)
    return max(node.lineno, body[0].lineno - 1) if body else end_of(node)


def _handles(function: Function) -> Iterator[tuple[str, str, ast.Call, ast.stmt]]:
    """Names that stand for an opened file in the function: with what opens it, and the statement they are good in."""
    for node in ast.walk(function):
        pairs: list[tuple[ast.expr | None, ast.expr, ast.stmt]] = []
        if isinstance(node, ast.With):
            pairs = [(item.optional_vars, item.context_expr, node) for item in node.items]
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            pairs = [(node.targets[0], node.value, function)]
        for target, value, scope in pairs:
            if isinstance(target, ast.Name) and isinstance(value, ast.Call):
                name = next((name for name, _ in called(ast.unparse(value))), "")
                if names_match(name, OPENERS):
                    yield target.id, name, value, scope


def _uses(statement: ast.stmt, handle: str) -> Iterator[list[ast.AST]]:
    """Where the statement itself, not one inside it, has the name: what is around it, innermost first."""

    def search(node: ast.AST, around: list[ast.AST]) -> Iterator[list[ast.AST]]:
        if isinstance(node, ast.Name) and node.id == handle and isinstance(node.ctx, ast.Load):
            yield [node, *around]
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.stmt):
                yield from search(child, [node, *around])

    return search(statement, [])


def _method(use: list[ast.AST]) -> str:
    return use[1].attr if len(use) > 1 and isinstance(use[1], ast.Attribute) else ""


def _deciding(use: list[ast.AST], whole: bool) -> list[ast.expr] | None:
    """What decides on that what is read through a handle; None where nothing is read, or what follows the last reading.

    whole: indices and calls behind the first one decide, too.
    """
    if _method(use) in _GO_ON:
        return None
    parts: list[ast.expr] = []
    reads = False
    for inner, node in itertools.pairwise(use):
        if isinstance(node, ast.Subscript) and node.value is inner:
            parts.append(node.slice)
            reads = True
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "next":
                return None
            parts += [each for each in (*node.args, *(keyword.value for keyword in node.keywords)) if each is not inner]
            reads = True
        elif not isinstance(node, ast.Attribute | ast.keyword):
            break
        if reads and not whole:
            break
    return parts if reads else None
