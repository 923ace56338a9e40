"""The first step after workers were forked: it copies each page of memory that it writes, for the workers share it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.loaders import LoaderFacts

Floats = npt.NDArray[np.float64]

PAGE_BYTES = 4096
PAGE_S = 3e-6  # where it was not measured: 2.7-3.9 µs to copy one on a virtual machine with 2 cores
TIMES = 2.0  # of what the pages cost alone: threads write side by side, and workers start meanwhile (2 to 4 measured)
_STATES = {"Adam": 2, "AdamW": 2, "NAdam": 2, "RAdam": 2, "Adamax": 2, "RMSprop": 1, "Adagrad": 1}
_OTHERS = 3  # steps at least that are not the first of a pass


def without_forks(loader: LoaderFacts) -> tuple[Floats, float | None]:
    """Recorded steps with the first after each start of workers as long as the usual one, and what it was longer.

    The latter in seconds a start; None for a loader without workers, or of which too little was recorded.
    """
    steps = loader.consume
    started = loader.first & ~np.isnan(steps) if loader.num_workers and len(loader.first) == len(steps) else None
    if started is None or not started.any():
        return steps, None
    if loader.persistent_workers:  # later passes find their workers there
        started = started & (np.cumsum(loader.first) == 1)
    others = steps[~started & ~np.isnan(steps)]
    if len(others) < _OTHERS:
        return steps, None
    usual = float(np.median(others))
    longer = np.maximum(steps[started] - usual, 0.0)
    return np.where(started, np.minimum(steps, usual), steps), float(longer.mean()) if len(longer) else None


def copied_s(optimizers: Sequence[SpanFacts], page_s: float = PAGE_S) -> float:
    """The same for a loader that has no workers yet: parameters, gradients and what the optimizer keeps of them."""
    written = sum(
        int(facts.attrs.get("elements") or 0) * 4 * (2 + _STATES.get(str(facts.attrs.get("class")), 0))
        for facts in optimizers
        if str(facts.attrs.get("device") or "cpu") == "cpu"
    )
    return TIMES * written / PAGE_BYTES * page_s
