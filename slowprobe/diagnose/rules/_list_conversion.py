"""Lines that turn a list into a tensor value by value: shared by the rules about the dataset and about collating."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.hot_lines import making_lines
from slowprobe.diagnose.list_names import Names, is_attribute
from slowprobe.diagnose.syntax import called_name
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor, Reload

# Value by value torch converts 4-8 million a second: 5-70 MB/s, by their type (torch 2.13). A copy of an array takes a
# tenth of that time even for rows of a hundred bytes, so a line this slow does not copy.
SLOW_BYTES_S = 150e6
LEFT = Factor(0.0, 0.05, 0.2)  # of the conversion, with arrays that are stacked first; see list-to-tensor
# Of a list that the dataset holds, converted once before: a tensor is sliced in its place. Measured 1.6 to 2.2 µs an
# item on torch 2.13 with rows still in the caches; a view of rows that are not there is no dearer, its copy is.
SLICED_S = (1e-6, 2.5e-6, 10e-6)
TRIED = Factor(1.3, 2.0, 4.0)  # of the batch stacked after the run: measured 1.6 to 3.3 times that between steps
MIN_SAMPLES = 5
MIN_LEAF = 0.5  # the conversion is C code: its time is the line's own; a line that calls Python below is slow for that
MAKERS = ("tensor", "as_tensor", "stack", "Tensor", "FloatTensor", "DoubleTensor", "LongTensor", "IntTensor")
HARMLESS = ("tolist", "list", "tuple", "zip", "map", "range", "len", "float", "int", "array", "asarray", "enumerate")


@dataclass(frozen=True)
class Conversion:
    """One line, what it takes of making a batch, and the call."""

    line: LineTime
    share: float
    call: ast.Call
    is_list: bool
    """The source says that its argument is a list; otherwise its slowness does."""
    is_held: bool = False
    """The list is an attribute of the dataset, or a part of one: it can be converted once, before training."""


def conversions(run: Evidence, loader: LoaderFacts) -> list[Conversion]:
    """The lines of a loader's dataset and collate function that convert lists; none where that was not recorded."""
    size, make_s = loader.making.batch_bytes, loader.make_s
    if not size or not make_s:
        return []
    lines = making_lines(run, loader.num_workers > 0)
    found: list[Conversion] = []
    seen: set[tuple[str, str, int]] = set()
    for line in lines:
        total_s = _total_s(run, loader, line.bucket)
        if not total_s or line.samples < MIN_SAMPLES or line.leaf_share < MIN_LEAF:
            continue
        costs = loader.fetch if line.bucket == "fetch" else loader.collate
        first, last = run.source.statement(line.site)
        if (line.file, line.bucket, first) in seen:
            continue
        spent_s = sum(
            each.seconds  # of the comprehensions in it, too, which are functions of their own before Python 3.12
            for each in lines
            if (each.file, each.bucket) == (line.file, line.bucket) and first <= each.line <= last
        )
        seconds = min(1.0, spent_s / total_s) * float(costs.mean())
        call = converting_call(run, line)
        if call is None or size / seconds > SLOW_BYTES_S:
            continue
        is_list = takes_list(run, line, call)
        # What the dataset converts may be cut down later, so that the batch says nothing of its size.
        if is_list or line.bucket == "collate":
            seen.add((line.file, line.bucket, first))
            is_held = is_list and line.bucket == "fetch" and is_attribute(call.args[0])
            found.append(Conversion(line, seconds / make_s, call, is_list, is_held))
    return found


def stacked(loader: LoaderFacts, lines: list[Conversion], tried_ms: float | None) -> Reload:
    """The loader with arrays that are stacked, then converted; tried_ms: what that took for such a batch."""
    return Reload(
        loader.id, fetch=_left(loader, lines, "fetch", None), collate=_left(loader, lines, "collate", tried_ms)
    )


def left_of(tried_ms: float | None, spent_ms: float) -> Factor:
    """What remains of `spent_ms` of conversion."""
    if tried_ms is None or spent_ms <= 0:
        return LEFT
    return Factor(*(min(1.0, tried_ms * times / spent_ms) for times in (TRIED.best, TRIED.expected, TRIED.worst)))


def _left(loader: LoaderFacts, lines: list[Conversion], bucket: str, tried_ms: float | None) -> Factor:
    """What remains of a batch's cost in the dataset or in collate."""
    costs = loader.fetch if bucket == "fetch" else loader.collate
    whole = float(costs.mean()) / (loader.make_s or 1.0)
    mine = [each for each in lines if each.line.bucket == bucket]
    part = sum(each.share for each in mine)
    gone = min(1.0, part / whole) if whole > 0 else 0.0
    spent_s = gone * float(costs.mean())
    if mine and spent_s > 0 and all(each.is_held for each in mine):
        items = (loader.batch_size or 1) * len(mine)
        return Factor(*(min(1.0, items * each / spent_s) for each in SLICED_S)).of_part(gone)
    return left_of(tried_ms, spent_s * 1000).of_part(gone)


def _total_s(run: Evidence, loader: LoaderFacts, bucket: str) -> float:
    """Seconds of the bucket over the loaders whose samples are together."""
    if bucket not in ("fetch", "collate"):
        return 0.0
    alike = [each for each in run.loaders if (each.num_workers > 0) == (loader.num_workers > 0)]
    return sum((each.fetch_s if bucket == "fetch" else each.collate_s) or 0.0 for each in alike)


def converting_call(run: Evidence, line: LineTime) -> ast.Call | None:
    """The call on a line that makes a tensor, if nothing else on it takes time."""
    return next((call for call in _calls(run, line) if _harmless(call)), None)


def takes_list(run: Evidence, line: LineTime, call: ast.Call) -> bool:
    """Whether the source says that the call is given a list."""
    return Names(run.source, line.site, _converts).is_list(call.args[0])


def _calls(run: Evidence, line: LineTime) -> Iterator[ast.Call]:
    first, last = run.source.statement(line.site)
    text = "\n".join(part for part in run.source.lines(line.file)[first - 1 : last])
    try:
        tree = ast.parse(text.strip())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and called_name(node) in MAKERS and _is_torch(node.func):
            yield node


def _converts(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and called_name(value) in MAKERS and _is_torch(value.func)


def _is_torch(function: ast.expr) -> bool:
    return not isinstance(function, ast.Attribute) or getattr(function.value, "id", "") == "torch"


def _harmless(call: ast.Call) -> bool:
    """Nothing but the conversion can take the time."""
    inner = [node for node in ast.walk(call) if isinstance(node, ast.Call) and node is not call]
    return all(called_name(node) in (*HARMLESS, *MAKERS) for node in inner)
