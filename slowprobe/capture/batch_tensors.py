"""How many tensors a batch holds, and how large they are."""

from __future__ import annotations

from typing import Any, NamedTuple

_LOOKED_AT = 100  # parts of a list; a longer one is taken to go on like its first


class BatchTensors(NamedTuple):
    """The tensors in a batch."""

    number: int
    size: int
    """Bytes of all."""


def batch_tensors(batch: Any, depth: int = 4) -> BatchTensors:
    """Of dictionaries, lists and tuples, nested at most `depth` deep."""
    if hasattr(batch, "untyped_storage"):
        return BatchTensors(1, int(batch.numel()) * int(batch.element_size()))
    parts = list(batch.values()) if isinstance(batch, dict) else batch
    if not depth or not isinstance(parts, (list, tuple)) or not parts:
        return BatchTensors(0, 0)
    found = [batch_tensors(part, depth - 1) for part in parts[:_LOOKED_AT]]
    number, size = sum(each.number for each in found), sum(each.size for each in found)
    times = len(parts) / len(found)
    return BatchTensors(round(number * times), round(size * times))
