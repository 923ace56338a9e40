"""What one batch of a loader takes where it is made in one piece: stacked, padded, or indexed by all its rows at once.

The rules of `calibration` hold: synthetic values in the shapes of a recorded batch, no user code, nothing left changed.
"""

from __future__ import annotations

from typing import Any

from slowprobe.capture.medians import medians_ms

MAX_TENSORS = 16  # of a batch that are looked at; one with more is left out
MAX_BYTES = 32_000_000  # of a batch; making a larger one some dozen times takes longer than all that is to be learned
MAX_TABLE_BYTES = 8_000_000  # of the rows that are indexed: larger than most caches of one core, and made in a ms
MAX_ITEMS = 4_096

Layout = list[tuple[list[int], str]]
"""Dimensions and type of each tensor of a batch."""


def layout_of(batch: Any, depth: int = 4) -> Layout:
    """The tensors of a batch of dictionaries, lists and tuples; empty where there are too many, or none."""
    found: Layout = []

    def look(part: Any, depth: int) -> None:
        if hasattr(part, "untyped_storage"):
            found.append(([int(size) for size in part.shape], str(part.dtype)))
        elif depth and isinstance(part, dict):
            for each in list(part.values())[: MAX_TENSORS + 1]:
                look(each, depth - 1)
        elif depth and isinstance(part, (list, tuple)):
            for each in part[: MAX_TENSORS + 1]:
                look(each, depth - 1)

    look(batch, depth)
    return found if len(found) <= MAX_TENSORS else []


def try_batch(torch: Any, prefix: str, layout: Layout, until: float) -> dict[str, float]:
    """Milliseconds: of items ``.stacked_ms``, ``.padded_ms``; by one index ``.rows_ms``, ``.tensor_rows_ms``.

    A tensor indexed by a list asks Python for each row again: ``.by_tensor_ms`` converts the list first, once.
    """
    import numpy as np

    items = layout[0][0][0] if layout and layout[0][0] else 0
    parts = [
        (dims, dtype) for dims, name in layout if dims[:1] == [items] and (dtype := _numpy_type(np, name)) is not None
    ]
    item_bytes = [int(np.prod(dims[1:])) * dtype.itemsize for dims, dtype in parts]
    if not 0 < items <= MAX_ITEMS or len(parts) < len(layout) or sum(item_bytes) * items > MAX_BYTES:
        return {}
    rows = max(items, min(16 * items, MAX_TABLE_BYTES // max(1, sum(item_bytes))))
    tables = [np.full([rows, *dims[1:]], 1, dtype=dtype) for dims, dtype in parts]
    index = [number * 7 % rows for number in range(items)]
    pieces = [[table[number] if table.ndim > 1 else table[number].item() for number in index] for table in tables]
    tensors = [[torch.from_numpy(each) for each in many] if hasattr(many[0], "shape") else many for many in pieces]
    as_tensors = [torch.from_numpy(table) for table in tables]
    pad = torch.nn.utils.rnn.pad_sequence

    def stacked() -> Any:
        return [
            torch.from_numpy(np.stack(many)) if hasattr(many[0], "shape") else torch.tensor(many) for many in pieces
        ]

    def padded() -> Any:
        return [pad(many, batch_first=True) if hasattr(many[0], "shape") else torch.tensor(many) for many in tensors]

    def indexed() -> Any:
        return [torch.from_numpy(table[index]) for table in tables]

    def of_tensors() -> Any:
        return [table[index] for table in as_tensors]

    def by_tensor() -> Any:
        positions = torch.tensor(index)
        return [table[positions] for table in as_tensors]

    with torch.no_grad():
        spent = medians_ms(until, stacked, padded, indexed, of_tensors, by_tensor)
    names = ("stacked", "padded", "rows", "tensor_rows", "by_tensor")
    return {f"{prefix}.{name}_ms": ms for name, ms in zip(names, spent, strict=True)}


def _numpy_type(np: Any, name: str) -> Any:
    """None for types that NumPy lacks."""
    try:
        return np.dtype(name.removeprefix("torch."))
    except TypeError:
        return None
