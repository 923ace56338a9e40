"""Edits in terms of the user's own lines, as small diffs."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence

from slowprobe.diagnose.finding import Where
from slowprobe.diagnose.syntax import called_name
from slowprobe.run.record import Site
from slowprobe.timeline.sources import SourceText


def place(*sites: Site | None) -> list[Where]:
    """The places of a finding, most important first."""
    return [Where(site.file, site.line, site.function) for site in sites if site is not None and site.line > 0]


def diff(removed: Sequence[str], added: Sequence[str]) -> str:
    """Lines to remove and to add, in the form of a unified diff without headers."""
    return "\n".join([*(f"-{line}" for line in removed), *(f"+{line}" for line in added)])


def statement_lines(source: SourceText, site: Site | None) -> list[str]:
    """The user's statement around a site, without its common indentation; empty where unknown."""
    if site is None:
        return []
    first, last = source.statement(site)
    lines = source.lines(site.file)[first - 1 : last]
    return textwrap.dedent("\n".join(lines)).splitlines()


def replace_statement(source: SourceText, site: Site | None, added: Sequence[str]) -> str:
    """A diff that puts `added` in the place of the user's statement."""
    return diff(statement_lines(source, site), added)


def replace_expressions(source: SourceText, site: Site, edits: Sequence[tuple[ast.expr, str]]) -> str:
    """A diff of the user's statement with some of its expressions replaced; they are nodes of the file's tree."""
    edited = _Text("\n".join(source.lines(site.file)))
    for node, value in edits:
        edited.replace(node, value)
    first, last = source.statement(site)
    lines = edited.result().splitlines()[first - 1 : last]
    return diff(statement_lines(source, site), textwrap.dedent("\n".join(lines)).splitlines())


def wrap_statement(source: SourceText, site: Site | None, header: str) -> str:
    """A diff that puts the user's statement under a `header` such as ``with torch.inference_mode():``.

    Empty where the line is no statement by itself (the head of a loop).
    """
    lines = statement_lines(source, site)
    try:
        ast.parse("\n".join(lines))
    except (SyntaxError, ValueError):
        return ""
    return diff(lines, [header, *(f"    {line}" for line in lines)]) if lines else ""


def look_up(source: SourceText, site: Site | None, expression: str, comment: str) -> str:
    """A diff that takes what the user's statement makes from a table; `expression` names the item as ``{index}``.

    Empty where the statement is no assignment or return in a ``__getitem__`` that names its index.
    """
    if site is None or site.function.rpartition(".")[2] != "__getitem__":
        return ""
    heads = (source.line(site.file, number) for number in range(site.line, 0, -1))
    head = next((text for text in heads if text.startswith("def __getitem__(self,")), "")
    index = head.partition(",")[2].partition(")")[0].partition(":")[0].strip()
    lines = statement_lines(source, site)
    try:
        statement = ast.parse("\n".join(lines).replace("return ", "result = ", 1)).body[0]
    except (SyntaxError, ValueError, IndexError):
        return ""
    if not index.isidentifier() or not isinstance(statement, ast.Assign):
        return ""
    made = f"{expression.format(index=index)}  # {comment}"
    if lines[0].startswith("return "):
        return diff(lines, [f"return {made}"])
    return diff(lines, [f"{ast.unparse(statement.targets[0])} = {made}"])


def set_arguments(source: SourceText, site: Site | None, class_name: str, **arguments: str) -> str:
    """A diff that sets keyword arguments where the user's statement makes a `class_name`.

    Empty where the statement is unknown, or where something it calls makes the object: a trainer, a factory.
    """
    lines = statement_lines(source, site)
    text = "\n".join(lines)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _makes(node, class_name)]
    if not calls:
        return ""
    call = calls[0]
    edited = _Text(text)
    missing = []
    for name, value in arguments.items():
        keyword = next((k for k in call.keywords if k.arg == name), None)
        if keyword is None:
            missing.append(f"{name}={value}")
        else:
            edited.replace(keyword.value, value)
    if missing:
        edited.insert_before_close(call, ", ".join(missing))
    return diff(lines, edited.result().splitlines())


def _makes(call: ast.Call, class_name: str) -> bool:
    return called_name(call) in (class_name, "__init__")  # of a subclass: super().__init__(...)


class _Text:
    """Source text that is edited at syntax nodes; edits are applied back to front."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._edits: list[tuple[int, int, int, int, str]] = []

    def _column(self, line: int, byte: int) -> int:
        return len(self._lines[line - 1].encode()[:byte].decode(errors="replace"))

    def replace(self, node: ast.expr, value: str) -> None:
        end_line, end_byte = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        begin = (node.lineno, self._column(node.lineno, node.col_offset))
        self._edits.append((*begin, end_line, self._column(end_line, end_byte), value))

    def insert_before_close(self, call: ast.Call, text: str) -> None:
        line = call.end_lineno or call.lineno
        column = self._column(line, call.end_col_offset or 0) - 1
        arguments: list[ast.expr] = [*call.args, *(keyword.value for keyword in call.keywords)]
        if not arguments:
            self._edits.append((line, column, line, column, text))
            return
        last = max(arguments, key=lambda node: (node.end_lineno or 0, node.end_col_offset or 0))
        end_line = last.end_lineno or line
        end = self._column(end_line, last.end_col_offset or 0)
        if isinstance(last, ast.GeneratorExp) and not call.keywords and len(call.args) == 1:
            end = column
            end_line = line
        self._edits.append((end_line, end, end_line, end, f", {text}"))

    def result(self) -> str:
        lines = list(self._lines)
        for first, start, last, end, value in sorted(self._edits, reverse=True):
            head, tail = lines[first - 1][:start], lines[last - 1][end:]
            lines[first - 1 : last] = [head + value + tail]
        return "\n".join(lines)
