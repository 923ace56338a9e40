"""How a collate function puts its batch together, by the syntax of its hot lines, and what each way leaves to gain."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from slowprobe.diagnose.element_loops import PLAIN
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.syntax import called_name, has_line, innermost
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor

Kind = Literal["elements", "lists", "padding", "rows", "copy", "other"]

# Of the time of such lines, with pad_sequence in their place: measured on torch 2.13 for batches of 16 to 256 items of
# 16 to 800 values (see the docstring of collate-heavy). Where the batch was tried after the run, that counts instead.
LEFT: dict[Kind, Factor] = {
    "elements": Factor(0.01, 0.02, 0.05),
    "lists": Factor(0.01, 0.1, 0.45),
    "padding": Factor(0.45, 0.55, 0.7),
    "rows": Factor(0.45, 0.55, 0.7),
    "copy": Factor(1.0, 1.0, 1.0),
    "other": Factor(0.02, 0.3, 0.8),
}
# Of what a batch took when tried alone, it takes in a loop with training steps, which leave less of it in the caches:
# measured 1.4 to 3.3 times for five shapes of 100 to 4,000 values an item, twice as a rule.
TRIED = Factor(1.3, 2.0, 4.0)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_COPIES = ("stack", "pad_sequence", "from_numpy", "default_collate", "concatenate", "cat", "vstack", "hstack", "array")
_PADS = ("pad", "cat", "concatenate", "hstack", "full", "zeros", "new_zeros", "new_full", "constant_pad_nd")
_LISTS = ("tensor", "as_tensor", "tolist", "FloatTensor", "LongTensor", "Tensor")


@dataclass(frozen=True)
class Way:
    """One way in which a part of collating is done."""

    kind: Kind
    share: float
    """Of collating."""
    left: Factor
    """Of its time."""


def ways(run: Evidence, loader: LoaderFacts, lines: Sequence[LineTime]) -> list[Way]:
    """The ways of a user's collate function, those that take most first; what was not sampled is left as it is.

    Too short for samples, and without a loop, it is one copy.
    """
    if not lines:
        function = run.source.only_function(loader.collate_name)
        loops = (ast.For, ast.While, *_COMPREHENSIONS)
        is_copy = function is not None and not any(isinstance(node, loops) for node in ast.walk(function[1]))
        kind: Kind = "copy" if is_copy else "other"
        return [Way(kind, 1.0, _left(run, loader, kind, 1.0))]
    whole = sum(line.seconds for line in lines)
    seconds: dict[Kind, float] = defaultdict(float)
    for line in lines:
        seconds[kind_at(run, line)] += line.seconds
    found = [Way(kind, part / whole, _left(run, loader, kind, part / whole)) for kind, part in seconds.items()]
    return sorted(found, key=lambda way: -way.share)


def left_of_all(found: Sequence[Way]) -> Factor:
    """What remains of collating."""
    return Factor(
        *(sum(way.share * getattr(way.left, case) for way in found) for case in ("best", "expected", "worst"))
    )


def _left(run: Evidence, loader: LoaderFacts, kind: Kind, share: float) -> Factor:
    tried_ms = tried(run, loader, "padded" if kind in ("padding", "rows", "elements") else "stacked")
    collate_ms = float(loader.collate.mean()) * 1000 * share
    if tried_ms is None or kind == "copy" or not collate_ms:
        return LEFT[kind]
    if kind == "other":  # whatever it does, it copies the batch
        least = min(1.0, tried_ms * TRIED.expected / collate_ms)
        return Factor(*(max(least, each) for each in (LEFT[kind].best, LEFT[kind].expected, LEFT[kind].worst)))
    return Factor(*(min(1.0, tried_ms * times / collate_ms) for times in (TRIED.best, TRIED.expected, TRIED.worst)))


def tried(run: Evidence, loader: LoaderFacts, way: str) -> float | None:
    """Milliseconds in which a batch of the same shapes was made in one piece after the run."""
    try:
        ms: float | None = run.costs.get(f"loader.{loader.id}.{way}_ms")
    except LookupError:
        return None
    return ms


def kind_at(run: Evidence, line: LineTime) -> Kind:
    """What the innermost statement around a line does, and in how many loops."""
    function = run.source.function_around(line.file, line.line)
    statements = [
        node
        for node in (ast.walk(function) if function is not None else ())
        if isinstance(node, ast.stmt) and node is not function and has_line(node, line.line)
    ]
    if not statements:
        return "other"
    loops = [node for node in statements if isinstance(node, _LOOPS)]
    inner = innermost(statements)
    body: ast.AST = loops[-1] if loops and inner is loops[-1] else inner
    depth = len(loops) + _comprehensions(inner if not isinstance(inner, _LOOPS) else ast.Pass())
    calls = {called_name(node) for node in ast.walk(body) if isinstance(node, ast.Call)}
    if depth >= 2 and calls <= {*PLAIN, "tolist"}:
        return "elements"
    if calls & {*_LISTS} and depth:
        return "lists"
    if depth and calls & {*_PADS} - {"stack"} and _inside_loop(inner, loops, _PADS):
        return "padding"
    if depth and _stores_rows(body):
        return "rows"
    if calls & {*_LISTS} and not calls & {*_COPIES}:
        return "lists"
    return "copy" if calls & {*_COPIES} else "other"


def _comprehensions(node: ast.AST) -> int:
    """How deep comprehensions are nested in a statement."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        deepest = max(deepest, _comprehensions(child))
    own = len(node.generators) if isinstance(node, _COMPREHENSIONS) else 0
    return deepest + own


def _inside_loop(statement: ast.stmt, loops: Sequence[ast.stmt], names: Sequence[str]) -> bool:
    """Whether one of the calls is made once for each item."""
    if loops:
        return True
    comprehensions = [node for node in ast.walk(statement) if isinstance(node, _COMPREHENSIONS)]
    calls = [call for part in comprehensions for call in ast.walk(part) if isinstance(call, ast.Call)]
    return any(called_name(call) in names for call in calls)


def _stores_rows(node: ast.AST) -> bool:
    """``batch[row, :n] = item``."""
    assigned = [each for each in ast.walk(node) if isinstance(each, ast.Assign)]
    return any(isinstance(target, ast.Subscript) for each in assigned for target in each.targets)
