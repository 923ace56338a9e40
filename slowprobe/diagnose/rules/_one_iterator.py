"""The edit that makes one iterator before the loop, in terms of the user's own lines."""

from __future__ import annotations

import ast
import textwrap

from slowprobe.diagnose.edits import diff, statement_lines
from slowprobe.run.record import Site
from slowprobe.timeline.sources import SourceText

_TEXT = "Make one iterator before the loop, and ask it for the next batch inside"


def one_iterator(source: SourceText, site: Site | None, endless: bool) -> tuple[str, str]:
    """The advice and its diff. `endless`: there are more steps than batches, so that a pass must follow a pass."""
    text = f"{_TEXT}{', pass after pass' if endless else ''}."
    if site is None:
        return text, ""
    old = statement_lines(source, site)
    loop = source.loop_around(site.file, site.line)
    lines = source.lines(site.file)
    call = _iter_call("\n".join(old))
    if call is None and loop is not None and loop[0] != site.line:
        call = _iter_call(textwrap.dedent("\n".join(lines[loop[0] - 1 : loop[1]])))
        if call is not None:  # batches = iter(loader) in a line of its own
            old = [*statement_lines(source, Site(site.file, loop[0] - 1 + call.lineno, site.function)), *old]
    loader = ast.unparse(call.args[0]) if call is not None else "loader"
    endlessly = f"(batch for _ in itertools.count() for batch in {loader})"
    before = f"batches = {endlessly if endless else f'iter({loader})'}  # before the loop"
    return text, diff(old, [before, *_asked(old, call)])


def _asked(old: list[str], call: ast.Call | None) -> list[str]:
    """The statement that asks for a batch, with the iterator in the place of what it asks."""
    if not old:
        return ["batch = next(batches)"]
    asking = old[-1]
    if call is not None and f"next({ast.unparse(call)}" in asking:
        return [asking.replace(ast.unparse(call), "batches")]
    try:
        tree = ast.parse(asking)
    except SyntaxError:
        tree = None
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Call) and _name(node) == "next" and node.args:
            segment = ast.get_source_segment(asking, node.args[0])
            return [asking.replace(f"next({segment}", "next(batches")] if segment else [asking]
    if asking.lstrip().startswith("for ") and " in " in asking:
        return [f"{asking.strip()[4:].partition(' in ')[0]} = next(batches)  # no inner loop, no break"]
    return ["batch = next(batches)"]


def _iter_call(text: str) -> ast.Call | None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node) == "iter" and node.args]
    return min(calls, key=lambda node: node.lineno, default=None)


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""
