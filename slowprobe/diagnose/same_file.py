"""Tells whether a call that opens a file opens the same one for every item, by where its arguments come from."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence

from slowprobe.diagnose.call_names import called, names_match
from slowprobe.diagnose.syntax import called_name, has_line, last_name, names_in
from slowprobe.run.record import Site
from slowprobe.timeline.sources import SourceText

OPENERS = (
    "h5py.File", "lmdb.open", "zarr.open", "zarr.open_group", "zarr.open_array", "np.load", "numpy.load", "np.memmap",
    "numpy.memmap", "open", "ZipFile", "tarfile.open", "sqlite3.connect", "ParquetFile", "pd.read_parquet",
    "pd.read_csv", "read_csv", "read_parquet", "torch.load", "netCDF4.Dataset", "xr.open_dataset", "safe_open",
)  # fmt: skip
OF_PATHS = ("read_text", "read_bytes")  # methods of the path that is read
_BUILD_A_PATH = ("join", "Path", "str", "fspath", "expanduser", "abspath")
_CACHES = ("cache", "lru_cache", "cached_property")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def opener_at(source: SourceText, sites: Sequence[Site]) -> tuple[str, ast.Call] | None:
    """The call on the first of `sites` (innermost first, then its callers) that opens the same file for each item.

    None where there is none, where an item decides what is opened, or where it is opened once only.
    """
    if not sites:
        return None
    for name, call in called(statement_text(source, sites[0])):
        if names_match(name, (*OPENERS, *OF_PATHS)):
            return (name, call) if opens_same(source, sites, name, call) else None
    return None


def opens_another(source: SourceText, sites: Sequence[Site]) -> bool:
    """Whether the first of `sites` has a call that opens a file for every item, and another one each time."""
    tree = source.tree(sites[0].file)
    function = source.function_around(sites[0].file, sites[0].line)
    if function is None or _once(tree, function, sites[0].line):
        return False
    for name, call in called(statement_text(source, sites[0])):
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        of_path = names_match(name, OF_PATHS) or (name_is_method(name) and _only_modes(arguments))
        if of_path and isinstance(call.func, ast.Attribute):
            arguments = [call.func.value]
        elif not names_match(name, OPENERS) or name_is_method(name):
            continue
        if any(varies(source, sites, node) for node in arguments):
            return True
    return False


def opens_same(source: SourceText, sites: Sequence[Site], name: str, call: ast.Call) -> bool:
    """Whether a call of `name` at the first of `sites` opens the same file for each item."""
    tree = source.tree(sites[0].file)
    function = source.function_around(sites[0].file, sites[0].line)
    if function is None or name_is_method(name) or _once(tree, function, sites[0].line):
        return False
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    if names_match(name, OF_PATHS) and isinstance(call.func, ast.Attribute):
        arguments = [call.func.value]
    return bool(arguments) and not any(varies(source, sites, node) for node in arguments)


def name_is_method(name: str) -> bool:
    """``archive.open(...)`` opens a part of something that is open; ``tarfile.open`` does not."""
    return name.endswith(".open") and not names_match(name, ("lmdb.open", "zarr.open", "tarfile.open", "io.open"))


def _only_modes(arguments: Sequence[ast.expr]) -> bool:
    """``path.open("rb")``, where an archive would be told which member."""
    values = [node.value if isinstance(node, ast.Constant) else None for node in arguments]
    return all(isinstance(value, str) and set(value) <= set("rbt") for value in values)


def statement_text(source: SourceText, site: Site) -> str:
    """The statement around a site, as one piece of code; of a compound statement its head only."""
    first, last = source.statement(site)
    return textwrap.dedent("\n".join(source.lines(site.file)[first - 1 : last]))


def varies(source: SourceText, sites: Sequence[Site], node: ast.expr, seen: frozenset[str] = frozenset()) -> bool:
    """Whether an expression at the first site may differ from item to item; `seen`: names on the way to it."""
    if any(isinstance(part, ast.Call) and not _builds_a_path(part) for part in ast.walk(node)):
        return True
    function = source.function_around(sites[0].file, sites[0].line) if sites else None
    if function is None:
        return True
    parameters, assigned = _parameters(function), _assigned(function)
    for name in names_in(node):
        if name in assigned:
            values = assigned[name]
            if name in parameters or name in seen:
                return True
            if any(value is None or varies(source, sites, value, seen | {name}) for value in values):
                return True
        elif name in parameters and name not in ("self", "cls"):
            passed = _passed(source, sites, function, name)
            if passed is None or varies(source, sites[1:], passed):
                return True
    return False


def _builds_a_path(call: ast.Call) -> bool:
    return called_name(call) in _BUILD_A_PATH


def _passed(source: SourceText, sites: Sequence[Site], function: Function, name: str) -> ast.expr | None:
    """What the caller passes as the parameter `name`; None where that is not to be seen."""
    if len(sites) < 2 or function.name.startswith("__"):
        return None
    for callee, call in called(statement_text(source, sites[1])):
        if not names_match(callee, (function.name,)):
            continue
        by_name = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
        if by_name is not None:
            return by_name
        positional = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        if positional[:1] in (["self"], ["cls"]):
            positional = positional[1:]
        place = positional.index(name) if name in positional else len(call.args)
        return call.args[place] if place < len(call.args) else None
    return None


def _assigned(function: Function) -> dict[str, list[ast.expr | None]]:
    """Local names, and what is assigned to them; None for what changes by itself, as in a loop."""
    found: dict[str, list[ast.expr | None]] = {}

    def add(target: ast.expr, value: ast.expr | None) -> None:
        for part in ast.walk(target):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                found.setdefault(part.id, []).append(value)

    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                add(target, node.value)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)):
            add(node.target, node.value)
        elif isinstance(node, (ast.AugAssign, ast.For, ast.comprehension)):
            add(node.target, None)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            add(node.optional_vars, None)
    return found


def _parameters(function: Function) -> set[str]:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {argument.arg for argument in named if argument is not None}


def _once(tree: ast.AST, function: Function, line: int) -> bool:
    """Whether the line runs once for many items: under a condition, in a cached function, before a generator's loop."""
    if any(last_name(each.func if isinstance(each, ast.Call) else each) in _CACHES for each in function.decorator_list):
        return True
    around = [node for node in ast.walk(function) if isinstance(node, ast.stmt | ast.expr) and has_line(node, line)]
    if any(isinstance(node, (ast.If, ast.Try)) and _in_body(node, line) for node in around):
        return True
    yields = [node for node in ast.walk(function) if isinstance(node, (ast.Yield, ast.YieldFrom))]
    loops = [node for node in around if isinstance(node, (ast.For, ast.While))]
    return bool(yields) and not any(has_line(loop, node.lineno) for loop in loops for node in yields)


def _in_body(node: ast.If | ast.Try, line: int) -> bool:
    statements = node.body if isinstance(node, ast.If) else [part for each in node.handlers for part in each.body]
    return any(has_line(statement, line) for statement in statements)
