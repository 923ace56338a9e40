"""The calls in a line of code by name, and what a stack frame is called: the pieces that causes are told by."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from functools import lru_cache

from slowprobe.timeline.recording import Frame

_INSTALLED = re.compile(r"/(?:site|dist)-packages/(.*)")
_STANDARD = re.compile(r"/python3[^/]*/([^/]+(?:/[^/]+)?)$")


def called(text: str) -> Iterator[tuple[str, ast.Call]]:
    """The calls in one line of code, with the dotted names of what they call; nothing where it is no code by itself."""
    yield from _called(text)


def names_match(name: str, wanted: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of `wanted`, or ends in one of them."""
    return any(name == each or name.endswith("." + each) for each in wanted)


def installed(frame: Frame) -> str:
    """The frame's file below site-packages, or below the standard library; empty for the user's."""
    found = _INSTALLED.search(frame.file) or _STANDARD.search(frame.file)
    return found.group(1) if found else ""


def last_part(name: str) -> str:
    """What a dotted name, or the qualified name of a function, ends in."""
    return name.rpartition(".")[2]


@lru_cache(maxsize=4096)
def _called(text: str) -> tuple[tuple[str, ast.Call], ...]:
    tree = _parse(textwrap.dedent(text))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)] if tree is not None else []
    return tuple((_dotted(call.func), call) for call in calls)


def _parse(text: str) -> ast.AST | None:
    for candidate in (text, text.rstrip().rstrip("([{,"), f"{text} pass", f"{text}\n    pass"):
        try:
            return ast.parse(candidate)
        except (SyntaxError, ValueError, RecursionError):
            continue
    return None


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return f"{owner}.{node.attr}" if owner else node.attr
    return node.id if isinstance(node, ast.Name) else ""
