"""The user's source text as it was when it ran."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from slowprobe.run.reader import RunRecords
from slowprobe.run.record import Site
from slowprobe.run.schema import Source

Function = ast.FunctionDef | ast.AsyncFunctionDef


class SourceText:
    """Lines and statements of recorded files; falls back to the file on disk for what a killed run did not keep."""

    def __init__(self, run: RunRecords) -> None:
        self._texts = {source.file: source.text for source in run.of(Source)}
        self.lines = cache(self._lines)
        self._tree = cache(self._parse)

    def _lines(self, file: str) -> list[str]:
        text = self._texts.get(file)
        if text is None:
            try:
                text = Path(file).read_text(encoding="utf-8", errors="replace") if Path(file).suffix == ".py" else ""
            except OSError:
                text = ""
        return text.splitlines()

    def _parse(self, file: str) -> ast.Module | None:
        try:
            return ast.parse("\n".join(self.lines(file)))
        except (SyntaxError, ValueError, RecursionError):
            return None

    def tree(self, file: str) -> ast.Module:
        """The syntax tree of a file; an empty one where there is none."""
        return self._tree(file) or ast.Module(body=[], type_ignores=[])

    @property
    def files(self) -> list[str]:
        """The recorded files."""
        return sorted(self._texts)

    def line(self, file: str, line: int) -> str:
        """One line without its indentation; empty where unknown."""
        lines = self.lines(file)
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""

    def find(self, *words: str) -> Site | None:
        """The first recorded line of code that holds one of `words`; None where there is none."""
        for file in sorted(self._texts):
            for number, line in enumerate(self.lines(file), start=1):
                code = line.partition("#")[0]
                if any(word in code for word in words):
                    return Site(file, number, "")
        return None

    def statement(self, site: Site) -> tuple[int, int]:
        """First and last line of the simple statement around a site; the line itself where that is unknown."""
        tree = self._tree(site.file)
        found = (site.line, site.line)
        if tree is None:
            return found
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt) and not hasattr(node, "body"):
                last = node.end_lineno or node.lineno
                if node.lineno <= site.line <= last:
                    found = (node.lineno, last)
        return found

    def find_class(self, name: str) -> tuple[str, ast.ClassDef] | None:
        """The file and the definition of a class of that name; None where it is no user's class, or there are two."""
        found = [
            (file, node)
            for file in sorted(self._texts)
            for node in ast.walk(self.tree(file))
            if isinstance(node, ast.ClassDef) and node.name == name
        ]
        return found[0] if len(found) == 1 else None

    def only_function(self, name: str) -> tuple[str, Function] | None:
        """The function or method of that name, and its file; None where it is no user's, or there are two."""
        found = [
            (file, node)
            for file in sorted(self._texts)
            for node in ast.walk(self.tree(file))
            if isinstance(node, Function) and node.name == name
        ]
        return found[0] if len(found) == 1 else None

    def function_around(self, file: str, line: int) -> Function | None:
        """The innermost function around a line; None where there is none."""
        functions = [
            node
            for node in ast.walk(self.tree(file))
            if isinstance(node, Function) and node.lineno <= line <= (node.end_lineno or node.lineno)
        ]
        return max(functions, key=lambda node: node.lineno, default=None)

    def loop_around(self, file: str, line: int) -> tuple[int, int] | None:
        """First and last line of the innermost for or while loop around a line; None where there is none."""
        tree = self._tree(file)
        best: tuple[int, int] | None = None
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, (ast.For, ast.While, ast.AsyncFor)):
                last = node.end_lineno or node.lineno
                if node.lineno <= line <= last and (best is None or node.lineno >= best[0]):
                    best = (node.lineno, last)
        return best
