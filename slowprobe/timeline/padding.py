"""How much of a loader's batches is padding, and what would be left of it with other ways of batching."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from slowprobe.run.loader_records import Padding
from slowprobe.timeline.op_cost import fixed_cost
from slowprobe.timeline.op_tree import OpTree
from slowprobe.timeline.recording import Recording

MIN_BATCHES = 3  # fewer say nothing about the others
_NOT_MODEL = ("optimizer", "data")


@dataclass(frozen=True)
class PaddingFacts:
    """Shares are of the columns that batches have, over all rows."""

    batches: int
    rows: float
    """In a batch, on average."""
    width: float
    """Columns, on average, by rows."""
    mean_length: float
    to_longest: float
    """Share that would remain with each batch padded to its longest row only."""
    by_length: float
    """The same with rows of like length together; what was looked at is sorted, so more rows would be sorted better."""
    packed: float
    """The share that is no padding."""
    shapes: frozenset[tuple[int, int]]
    """Rows and columns that were seen."""


def padding_facts(recording: Recording, loader: int) -> PaddingFacts | None:
    """What was seen of a loader's batches, or of a model's inputs (a negative number); None where few were padded."""
    seen = [
        (rows, width, lengths)
        for record in recording.run.of(Padding)
        if record.loader == loader
        for rows, width, lengths in zip(record.rows, record.width, record.lengths, strict=True)
    ]
    columns = sum(width * len(lengths) for _, width, lengths in seen)
    if len(seen) < MIN_BATCHES or not columns:
        return None
    every = sorted((length for _, _, lengths in seen for length in lengths), reverse=True)
    count = max(1, round(len(every) / len(seen)))
    groups = [every[first : first + count] for first in range(0, len(every), count)]
    return PaddingFacts(
        batches=len(seen),
        rows=sum(rows for rows, _, _ in seen) / len(seen),
        width=columns / len(every),
        mean_length=sum(every) / len(every),
        to_longest=sum(max(lengths) * len(lengths) for _, _, lengths in seen) / columns,
        by_length=sum(group[0] * len(group) for group in groups) / columns,
        packed=sum(every) / columns,
        shapes=frozenset((rows, width) for rows, width, _ in seen),
    )


def share_of_shapes(tree: OpTree, shapes: frozenset[tuple[int, int]]) -> float | None:
    """Share of the model's operator time in work on tensors with a batch's rows and columns among their dimensions.

    Fixed costs are no work. None without recorded shapes.
    """
    if not tree.steps:
        return None
    cost = fixed_cost(tree)
    has = _has_any(_looked_up(tree) or shapes)
    all_ns = of_shapes_ns = 0
    known = False
    for i, row in enumerate(tree.rows):
        if tree.step_of[i] < 0 or tree.op_class[i] in _NOT_MODEL:
            continue
        dims = tree.trace.input_dims(row)
        known = known or dims is not None
        all_ns += tree.self_ns[i]
        if dims is not None and has(dims):
            of_shapes_ns += max(0, tree.self_ns[i] - round(cost.dispatch_ns(tree.names[i], tree.self_ns[i])))
    return of_shapes_ns / all_ns if known and all_ns else None


def _looked_up(tree: OpTree) -> frozenset[tuple[int, int]]:
    """Rows and columns of what embeddings are asked for: where batches differ in width, those of this step."""
    inputs = [tree.trace.input_dims(tree.rows[i]) for i, name in enumerate(tree.names) if name == "aten::embedding"]
    asked = [dims[1] for dims in inputs if dims is not None and len(dims) > 1]
    return frozenset((dims[0], dims[1]) for dims in asked if isinstance(dims, list) and len(dims) == 2)


def _has_any(shapes: frozenset[tuple[int, int]]) -> Callable[[list[Any]], bool]:
    pairs = shapes | {(width, rows) for rows, width in shapes}
    products = {rows * width for rows, width in shapes}
    widths = {width for _, width in shapes}

    def has(inputs: list[Any]) -> bool:
        for dims in inputs:
            if not isinstance(dims, list) or not dims:
                continue
            if isinstance(dims[0], list):
                if has(dims):
                    return True
                continue
            if products.intersection(dims) or pairs.intersection(pairwise(dims)):
                return True
            if len(dims) > 2 and widths.intersection(dims):  # heads and positions
                return True
        return False

    return has
