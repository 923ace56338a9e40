"""What picking elements along an inner dimension takes, and picking as many whole rows of the same tensor turned.

The rules of `calibration` hold: synthetic tensors, no user code, no random numbers, nothing left changed.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from statistics import median
from typing import Any

from slowprobe.capture.operator_edits import TYPES

CACHE_LINE = 64  # bytes: what is fetched for an element, however few of them are picked
MAX_BYTES = 1 << 26  # of the tensor in the trial, more than second-level caches hold; fewer rows then, as far apart
MIN_NS = 50_000  # annotated, a call; shorter ones are mostly their own start
MIN_SHARE = 0.05  # of the operators' time
BUDGET_S, ROUNDS = 0.2, 3
MAX_ROUNDS = 25
_PICKS, _VIEW = ("aten::index", "aten::index_select"), "aten::as_strided"
_SPREAD, _SHIFT = 7919, 104_729  # primes: places that are picked lie far apart, and others in each round


@dataclass(frozen=True)
class Gather:
    """Calls that pick `picked` places along dimension `dim` of a tensor, where less than a cache line lies together."""

    dtype: str
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dim: int
    picked: int
    calls: int
    spent_ns: int
    """All calls together, as profiled."""


def gathers(events: Iterable[Any]) -> list[Gather]:
    """Those of a window recorded with shapes, the dearest first. events: of `kineto_results.events()`."""
    known = list(events)
    picks = [each for each in known if each.name() in _PICKS and each.duration_ns() >= MIN_NS]
    views = sorted((each for each in known if each.name() == _VIEW), key=lambda each: each.start_ns()) if picks else []
    starts = [each.start_ns() for each in views]
    found: dict[tuple[Any, ...], list[int]] = {}
    for pick in picks:
        start, thread = pick.start_ns(), pick.start_thread_id()
        inside = views[bisect_left(starts, start) : bisect_left(starts, start + pick.duration_ns())]
        key = _key(pick, next((each for each in inside if each.start_thread_id() == thread), None))
        if key is not None:
            row = found.setdefault(key, [0, 0])
            row[0] += 1
            row[1] += pick.duration_ns()
    return sorted((Gather(*key, *row) for key, row in found.items()), key=lambda each: -each.spent_ns)


def _key(event: Any, view: Any) -> tuple[Any, ...] | None:
    """What is picked of what, by the first view within; None for whole cache lines, or places of several tensors."""
    kind, sizes, strides = event.dtypes()[0], tuple(event.shapes()[0]), tuple(event.structured_input_strides()[0])
    if kind not in TYPES or len(sizes) < 2 or len(sizes) != len(strides) or not all(sizes) or min(strides) < 0:
        return None
    if event.name() == "aten::index_select":
        dim, picked = int(event.concrete_inputs()[1]), prod(event.shapes()[2])
    else:
        if view is None or tuple(view.shapes()[0]) != sizes:
            return None
        wide, steps = (tuple(each) if isinstance(each, list) else () for each in view.concrete_inputs()[1:3])
        turned = [at for at, step in enumerate(steps) if step != strides[at]] if len(steps) == len(sizes) else []
        if len(turned) != 1 or steps[turned[0]]:
            return None
        dim, picked = turned[0], wide[turned[0]]
    dim %= len(sizes)
    together = prod(size for size, stride in zip(sizes, strides, strict=True) if stride < strides[dim])
    return None if together * _dtype(kind).itemsize >= CACHE_LINE or not picked else (kind, sizes, strides, dim, picked)


def try_gathers(torch: Any, found: Sequence[Gather], operators_ns: int) -> dict[str, float]:
    """The dearest, as it is and turned, in about `BUDGET_S`. operators_ns: of all operators of the step.

    Values: ``gather.all_ms`` (all such calls of the annotated step), ``.now_ms`` and ``.edited_ms`` (one call, of
    fewer rows where the tensor is large), ``.dim`` (along which it picks).
    """
    all_ns = sum(each.spent_ns for each in found)
    if not found or all_ns < MIN_SHARE * operators_ns:
        return {}
    until = time.perf_counter() + BUDGET_S
    with torch.inference_mode(False), torch.no_grad():
        tables = _tables(torch, found[0])
        if tables is None:
            return {}
        now, edited = _times(torch, found[0], *tables, until)
    return {
        "gather.all_ms": all_ns / 1e6,
        "gather.now_ms": now,
        "gather.edited_ms": edited,
        "gather.dim": float(found[0].dim),
    }


def _tables(torch: Any, gather: Gather) -> tuple[Any, Any] | None:
    """The tensor, with as many of its outermost rows as there is room for, and the same with `dim` first in memory."""
    sizes, dtype = list(gather.sizes), _dtype(gather.dtype)
    item = dtype.itemsize
    outer = max(range(len(sizes)), key=lambda at: gather.strides[at])
    if outer == gather.dim:
        return None
    sizes[outer] = max(1, min(sizes[outer], MAX_BYTES // (gather.strides[outer] * item)))
    span = 1 + sum((size - 1) * stride for size, stride in zip(sizes, gather.strides, strict=True))
    if span * item > 2 * MAX_BYTES or prod(sizes) * item > MAX_BYTES:
        return None
    table = torch.full((span,), 1, dtype=dtype, device="cpu").as_strided(sizes, gather.strides)
    return table, table.movedim(gather.dim, 0).contiguous()


def _times(torch: Any, gather: Gather, table: Any, turned: Any, until: float) -> tuple[float, float]:
    """Median milliseconds of a call."""
    spread = torch.arange(gather.picked, device="cpu") * _SPREAD
    before = (slice(None),) * gather.dim
    now: list[float] = []
    edited: list[float] = []
    while len(edited) < ROUNDS or (len(edited) < MAX_ROUNDS and time.perf_counter() < until):
        for spent, source, path in ((now, table, before), (edited, turned, ())):
            places = (spread + (len(edited) + 1) * _SHIFT) % gather.sizes[gather.dim]
            begin = time.perf_counter()
            source[(*path, places)]
            spent.append((time.perf_counter() - begin) * 1e3)
    return median(now), median(edited)


def _dtype(kind: str) -> Any:
    import torch

    return getattr(torch, TYPES[kind])
