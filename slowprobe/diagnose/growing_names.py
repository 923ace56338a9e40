"""Finds what a loop makes longer at each turn and never shorter: lists that are appended to, tensors concatenated."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slowprobe.diagnose.loop_syntax import Loop
from slowprobe.diagnose.syntax import has_line, last_name
from slowprobe.diagnose.turns import turn_of
from slowprobe.run.record import Site
from slowprobe.timeline.sources import SourceText

_APPENDS = ("append", "extend", "add", "appendleft", "insert")
_JOINS = ("cat", "concat", "concatenate", "vstack", "hstack")
_SHORTENS = r"\.(?:clear|pop|popleft|popitem|remove|discard)\("


@dataclass(frozen=True)
class Growing:
    """A name that gets longer at `site`; `joined`: each time by a copy of the whole (``x = torch.cat([x, y])``)."""

    name: str
    site: Site
    joined: bool
    made: Site | None
    """Where it is made as an empty list."""


def growing_at(source: SourceText, stack: Sequence[Site]) -> Growing | None:
    """What grows and is read on the innermost line of `stack` (the user's lines, innermost first); None for nothing."""
    if not stack:
        return None
    here = stack[0]
    texts = [_text(source, here)]
    function = source.function_around(here.file, here.line)
    called = len(stack) > 1 and function is not None and f"{function.name}(" in _text(source, stack[1])
    if called and function is not None and any(_mentions(texts[0], name) for name in _parameters(function)):
        texts.append(_text(source, stack[1]))  # it is handed in
    files = dict.fromkeys(site.file for site in stack[: len(texts)])
    candidates = (growing for file in files for growing in _in_file(source, file, stack))
    return next((found for found in candidates if any(_reads(text, found) for text in texts)), None)


def _in_file(source: SourceText, file: str, stack: Sequence[Site]) -> Iterator[Growing]:
    code = "\n".join(source.lines(file))
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return
    here = [site for site in stack if site.file == file]
    turn = next((turn for site in here if (turn := turn_of(source, site)) is not None), None)
    loop = turn.loop if turn is not None and isinstance(turn.loop, Loop) else None
    on_stack = [source.function_around(file, site.line) for site in here]
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt) or (found := _grows(node)) is None:
            continue
        name, joined = found
        function = source.function_around(file, node.lineno)
        if loop is not None and has_line(loop, node.lineno):
            once_a_turn: ast.AST = loop
        elif function is not None and function.name != "__init__" and (function in on_stack or "." in name):
            once_a_turn = function
            if joined and name in _parameters(function):
                continue  # a local name for something else at each call
        else:
            continue
        if not _made_anew(once_a_turn, name, node) and not _is_bounded(code, name):
            yield Growing(name, Site(file, node.lineno, here[0].function), joined, _made(tree, file, name))


def _grows(node: ast.stmt) -> tuple[str, bool] | None:
    """The name that a statement makes longer, and whether by a copy of the whole."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        if isinstance(called, ast.Attribute) and called.attr in _APPENDS and _is_name(called.value):
            return ast.unparse(called.value), False
    if (
        isinstance(node, ast.AugAssign)
        and isinstance(node.op, ast.Add)
        and isinstance(node.value, (ast.List, ast.ListComp))
    ):
        return ast.unparse(node.target), False
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call) or not _is_name(node.targets[0]):
        return None
    name, arguments = ast.unparse(node.targets[0]), node.value.args
    called = node.value.func
    joins = last_name(called)
    if joins in _JOINS and arguments and isinstance(arguments[0], (ast.List, ast.Tuple)):
        arguments = arguments[0].elts
    elif joins != "append":
        return None
    return (name, True) if any(ast.unparse(each) == name for each in arguments) else None


def _made_anew(around: ast.AST, name: str, grows: ast.stmt) -> bool:
    """Whether each turn (or call) begins with another one."""
    for node in ast.walk(around):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign) and node.lineno != grows.lineno:
            targets = node.targets
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.AnnAssign, ast.NamedExpr)):
            targets = [node.target]
        if any(
            ast.unparse(part) == name for target in targets for part in ast.walk(target) if isinstance(part, ast.expr)
        ):
            return True
    return False


def _is_bounded(code: str, name: str) -> bool:
    """Whether something makes it shorter again: pop, clear, a slice of itself, a deque of fixed length."""
    quoted = rf"(?<![\w.]){re.escape(name)}"
    patterns = (
        quoted + _SHORTENS,
        rf"del\s+{quoted}\[",
        rf"{quoted}\s*=\s*{re.escape(name)}\[",
        rf"{quoted}\[[^\]\n]*:[^\]\n]*\]\s*=",
        rf"{quoted}\s*(?::[^=\n]+)?=\s*[\w.]*deque\([^\n]*maxlen",
    )
    return any(re.search(pattern, code) for pattern in patterns)


def _reads(text: str, growing: Growing) -> bool:
    """Whether a statement's time depends on the length: an append takes no longer for a long list."""
    if not growing.joined:
        text = re.sub(rf"^\s*{re.escape(growing.name)}(?:\.(?:{'|'.join(_APPENDS)})\(|\s*\+=)", "", text)
    return _mentions(text, growing.name)


def _made(tree: ast.Module, file: str, name: str) -> Site | None:
    lists = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and ast.unparse(node.value) == "[]"]
    made = (node.lineno for node in lists if any(ast.unparse(target) == name for target in node.targets))
    return next((Site(file, line, "") for line in made), None)


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)]


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text) is not None


def _text(source: SourceText, site: Site) -> str:
    first, last = source.statement(site)
    return "\n".join(source.lines(site.file)[first - 1 : last])


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, (ast.Name, ast.Attribute))
