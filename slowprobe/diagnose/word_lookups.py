"""Tells a tokenizer of the user's own by its syntax: it splits texts, and looks the pieces up in a vocabulary."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from slowprobe.diagnose.syntax import called_name, names_in
from slowprobe.run.record import Site
from slowprobe.timeline.sources import SourceText

_OF_WORDS = re.compile(r"(^|_)(words?|tokens?|chars?|characters?|sentences?|texts?|pieces?|subwords?)(_|$)", re.I)
_VOCABULARY = re.compile(r"vocab|lexicon|^stoi$|(word|token|char)s?_?(2|to)?_?(id|ix|ind|index)", re.I)
_PATTERN = re.compile(r"pattern|regex|(^|_)re(_|$)|^[A-Z_]+$")
_SEPARATORS = ("/", "\\", ".", "_", "-")  # of paths and names of files
_PIECES = ("findall", "finditer", "tokenize", "word_tokenize")
_LOOPS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp, ast.For)
LEVELS = 2  # of functions that are followed to a call that splits


def tokenizes_at(source: SourceText, site: Site) -> bool:
    """Whether the statement at a site looks words up, or splits the text whose words its function looks up."""
    function = source.function_around(site.file, site.line)
    if function is None:
        return False
    found = list(_lookups(source, function))
    if not found:
        return False
    part = _statement(function, site.line)
    if part is None:
        return False
    own = {id(node) for each in part for node in ast.walk(each)}
    return any(id(loop) in own or _holds(loop, site.line) for loop in found) or any(_splits(source, e) for e in part)


def _lookups(source: SourceText, function: ast.AST) -> Iterator[ast.AST]:
    """Loops over words whose body looks each of them up: ``vocabulary[word]``, ``ids.get(word, 0)``."""
    for loop in ast.walk(function):
        if not isinstance(loop, _LOOPS):
            continue
        pairs = (
            [(loop.target, loop.iter)]
            if isinstance(loop, ast.For)
            else [(each.target, each.iter) for each in loop.generators]
        )
        for target, values in pairs:
            names = names_in(target)
            for table, word in _looked_up(loop):
                if not names_in(word) & names:
                    continue
                if _from_text(source, function, values) or (
                    _VOCABULARY.search(table) and any(_OF_WORDS.search(name) for name in (*names, *_names(values)))
                ):
                    yield loop


def _looked_up(loop: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """What is looked up in a loop: the table's name, and the key."""
    for node in ast.walk(loop):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and not isinstance(node.slice, ast.Slice):
            if isinstance(node.value, ast.Name | ast.Attribute):
                yield _name(node.value), node.slice
        elif isinstance(node, ast.Call) and called_name(node) == "get" and node.args:
            yield _name(getattr(node.func, "value", node.func)), node.args[0]


def _from_text(source: SourceText, function: ast.AST, values: ast.expr, seen: frozenset[str] = frozenset()) -> bool:
    """Whether an expression holds the pieces of a text: of a call that splits, or of a name that was given them."""
    if _splits(source, values):
        return True
    names = names_in(values) - seen
    return any(
        _from_text(source, function, node.value, seen | names)
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and names_in(*node.targets) & names
    )


def _splits(source: SourceText, node: ast.AST, levels: int = LEVELS) -> bool:
    """Whether there is a call that splits a text, or one of a user's function that has it."""
    for call in (part for part in ast.walk(node) if isinstance(part, ast.Call)):
        if _is_split(call):
            return True
        name = called_name(call)
        found = source.only_function(name) if levels and name and not name.startswith("__") else None
        if found is not None and found[1] is not node and _splits(source, found[1], levels - 1):
            return True
    return False


def _is_split(call: ast.Call) -> bool:
    name = called_name(call)
    if name in _PIECES:
        return True
    if name not in ("split", "rsplit") or not isinstance(call.func, ast.Attribute):
        return False
    if _PATTERN.search(_name(call.func.value)):
        return True
    first = call.args[0] if call.args else None
    if first is None:
        return not call.keywords
    return isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value not in _SEPARATORS


def _statement(function: ast.AST, line: int) -> list[ast.AST] | None:
    """The innermost statement around a line; of a compound one the parts of its head."""
    found = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.stmt) and node is not function and _holds(node, line)
    ]
    if not found:
        return None
    inner = max(found, key=lambda node: (node.lineno, -(node.end_lineno or node.lineno)))
    if not hasattr(inner, "body"):
        return [inner]
    return [child for child in ast.iter_child_nodes(inner) if isinstance(child, ast.expr)]


def _holds(node: ast.AST, line: int) -> bool:
    first = getattr(node, "lineno", None)
    return first is not None and first <= line <= (getattr(node, "end_lineno", None) or first)


def _names(node: ast.AST) -> set[str]:
    return {_name(part) for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute)}


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
