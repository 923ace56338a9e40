"""Tells whether a statement of the training loop only observes: nothing it computes gets back into training."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from slowprobe.diagnose.syntax import end_of, has_line
from slowprobe.diagnose.turns import Turn
from slowprobe.timeline.sources import Function, SourceText

_TRAINS = re.compile(r"\.backward\(|(?<!\benv)(?<!\benvs)\.step\(")
# In-place methods and functions, and what else changes a model: whoever calls them does not only look.
_CHANGES = re.compile(r"\b(?!_)\w+[a-z]_\(|\.data\b|\.grad\s*=|\.load_state_dict\(|_foreach_\w+_\(")
_LEAVES = (ast.Break, ast.Continue, ast.Return, ast.Raise)


def only_observes(source: SourceText, turn: Turn) -> bool:
    """Whether the statement's results, followed by name through the loop, reach no backward pass, step or branch.

    Followed from turn to turn, too. Where the loop is not seen, or the statement changes tensors in place: no.
    """
    if turn.loop is None or not turn.trains or _text_matches(source, turn, turn.statement, _CHANGES, _TRAINS):
        return False
    statements = [node for node in _simple(turn.loop.body) if not _within(node, turn.statement)]
    tainted = _bound(turn.statement)
    while True:
        reached = [node for node in statements if _reads(node) & tainted]
        if any(_uses(source, turn, node) for node in reached):
            return False
        more = set().union(*(_bound(node) for node in reached)) if reached else set()
        if more <= tainted:
            return not isinstance(turn.loop, Function) or not _leaves(source, turn, turn.loop, tainted)
        tainted |= more


def _leaves(source: SourceText, turn: Turn, function: Function, tainted: set[str]) -> bool:
    """Whether callers of a function may train with what it fills: its arguments, or attributes that its file reads."""
    arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    if tainted & {each.arg for each in arguments}:
        return True
    kept = {name for name in tainted if "." in name}
    statements = (node for node in ast.walk(source.tree(turn.file)) if isinstance(node, ast.stmt))
    outside = (node for node in statements if not _within(node, function))
    return any(_reads(node) & kept and _uses(source, turn, node) for node in outside)


def is_read_by_none_but(source: SourceText, turn: Turn, readers: Sequence[ast.stmt]) -> bool:
    """Whether what a statement of the loop computes is read by `readers` in the same turn, and by nothing else.

    Followed through plain assignments. What is kept beyond the turn (appended, added up, read after the loop) is not.
    """
    loop = turn.loop
    if loop is None or not isinstance(turn.statement, ast.Assign) or not only_observes(source, turn):
        return False
    names = _plain_targets(turn.statement)
    first = {reader.lineno for reader in readers}
    statements = [node for node in _simple(loop.body) if not _within(node, turn.statement)]
    read = False
    while names is not None:
        reached = [node for node in statements if _reads(node) & names]
        inside = [node for node in reached if any(_within(node, reader) for reader in readers)]
        read = read or any(node.lineno in first for node in inside)
        more: set[str] = set()
        for node in reached:
            if node in inside:
                continue
            targets = _plain_targets(node) if isinstance(node, ast.Assign) else None
            if targets is None or targets & _reads(node):  # a running mean wants every turn
                return False
            more |= targets
        if more <= names:
            return read and not _read_outside(source, turn, names)
        names |= more
    return False


def keeps_a_total(source: SourceText, turn: Turn) -> bool:
    """Whether a statement feeds an object that is read outside the loop: a figure of all batches needs each of them."""
    statement = turn.statement
    if turn.loop is None or not isinstance(statement, ast.Expr):
        return False
    return _read_outside(source, turn, _bound(statement))


def _plain_targets(statement: ast.Assign) -> set[str] | None:
    """The local names an assignment binds; None where it binds anything else, too."""
    parts = [part for target in statement.targets for part in _parts(target)]
    return {part.id for part in parts if isinstance(part, ast.Name)} if all(map(_is_local, parts)) else None


def _parts(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, (ast.Tuple, ast.List)):
        for part in target.elts:
            yield from _parts(part)
    else:
        yield target


def _is_local(target: ast.expr) -> bool:
    return isinstance(target, ast.Name)


def _read_outside(source: SourceText, turn: Turn, names: set[str]) -> bool:
    """Whether a name is read outside the loop, as by what is returned or printed at the end; an attribute, anywhere."""
    assert turn.loop is not None
    first, last = turn.loop.lineno, end_of(turn.loop)
    around = source.function_around(turn.file, first)
    tree = source.tree(turn.file)
    for name in names:
        within = tree if around is None or "." in name else around
        reads = (node for node in ast.walk(within) if _is_read(node) and _name(node) == name)
        if any(not first <= node.lineno <= last for node in reads):  # type: ignore[attr-defined]
            return True
    return False


def changes_tensors(source: SourceText, file: str, line: int) -> bool:
    """Whether the function around a line trains, or changes tensors in place."""
    function = source.function_around(file, line)
    if function is None:
        return False
    lines = source.lines(file)[function.lineno - 1 : end_of(function)]
    return any(_CHANGES.search(text) or _TRAINS.search(text) for text in lines)


def _uses(source: SourceText, turn: Turn, node: ast.stmt) -> bool:
    """Whether a statement that reads a followed name trains with it, or decides by it how the loop goes on."""
    if isinstance(node, (ast.If, ast.While)):
        return any(isinstance(part, _LEAVES) or _text_matches(source, turn, part, _TRAINS) for part in _simple([node]))
    return isinstance(node, ast.Return) or _text_matches(source, turn, node, _TRAINS, _CHANGES)


def _text_matches(source: SourceText, turn: Turn, node: ast.stmt, *patterns: re.Pattern[str]) -> bool:
    lines = source.lines(turn.file)[node.lineno - 1 : end_of(node)]
    return any(pattern.search(text) for text in lines for pattern in patterns)


def _simple(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a block and of the blocks inside it; of those inside functions defined there, none."""
    for node in body:
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for name in ("body", "orelse", "finalbody"):
            yield from _simple(getattr(node, name, []))


def _within(node: ast.stmt, whole: ast.stmt) -> bool:
    return has_line(whole, node.lineno)


def _heads(node: ast.stmt) -> list[ast.AST]:
    """The expressions of a statement, without the blocks in it."""
    return [child for child in ast.iter_child_nodes(node) if not isinstance(child, (ast.stmt, ast.excepthandler))]


def _reads(node: ast.stmt) -> set[str]:
    found = {_name(part) for head in _heads(node) for part in ast.walk(head) if _is_read(part)}
    return {name for name in found if name}


def _is_read(part: ast.AST) -> bool:
    return isinstance(part, (ast.Name, ast.Attribute)) and isinstance(part.ctx, ast.Load)


def _bound(statement: ast.stmt) -> set[str]:
    """The names a statement assigns to, or whose object it may fill: the owner of a method, what is subscripted."""
    found: set[str] = set()
    for node in _simple([statement]):
        if isinstance(node, ast.Assign):
            targets: list[ast.expr] = list(node.targets)
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            targets = [node.target]
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            targets = [node.value.func.value] if isinstance(node.value.func, ast.Attribute) else []
        elif isinstance(node, (ast.For, ast.AsyncFor)) and node is not statement:
            targets = [node.target]
        else:
            targets = []
        found |= {name for target in targets for name in _owners(target)}
    return found


def _owners(target: ast.expr) -> set[str]:
    if isinstance(target, (ast.Tuple, ast.List)):
        return {name for part in target.elts for name in _owners(part)}
    while isinstance(target, (ast.Subscript, ast.Starred, ast.Call)):
        target = target.func if isinstance(target, ast.Call) else target.value
    return {name} if (name := _name(target)) else set()


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        owner = _name(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return node.id if isinstance(node, ast.Name) else ""
