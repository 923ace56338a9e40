"""Lines that make tensors of what a tokenizer gave: with the tokens kept as tensors, they are gone as well."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from slowprobe.diagnose.call_names import called, names_match
from slowprobe.diagnose.edits import statement_lines
from slowprobe.diagnose.syntax import end_of, names_in
from slowprobe.run.record import Site
from slowprobe.timeline.sources import SourceText

CONVERSIONS = (
    "torch.tensor", "torch.as_tensor", "torch.LongTensor", "torch.IntTensor", "torch.from_numpy", "np.array",
    "np.asarray", "numpy.array", "numpy.asarray",
)  # fmt: skip


def converting(source: SourceText, tokenizing: Iterable[Site]) -> set[tuple[str, int]]:
    """File and line of the conversions on a line of `tokenizing`, or of a name that one gives its result to."""
    found = set()
    for site in tokenizing:
        statement = statement_lines(source, site)
        if any(names_match(name, CONVERSIONS) for name, _ in called("\n".join(statement))):
            first, last = source.statement(site)
            found |= {(site.file, line) for line in range(first, last + 1)}
        names = _assigned(statement)
        function = source.function_around(site.file, site.line)
        if not names or function is None:
            continue
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            name = next((name for name, _ in called(ast.unparse(call))), "")
            if names_match(name, CONVERSIONS) and names_in(*call.args) & names:
                found |= {(site.file, line) for line in range(call.lineno, end_of(call) + 1)}
    return found


def _assigned(lines: list[str]) -> set[str]:
    try:
        tree = ast.parse("\n".join(lines))
    except (SyntaxError, ValueError):
        return set()
    targets = [target for node in ast.walk(tree) if isinstance(node, ast.Assign) for target in node.targets]
    return names_in(*targets)
