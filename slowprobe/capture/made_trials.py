"""What the tensors that a step makes of lists take where arrays are stacked first, tried as `batch_trials` does.

The values of `timeline.made_tensors` are read beside these: both name a tensor by its dimensions and its type.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import prod
from typing import Any

from slowprobe.capture.batch_trials import try_batch

MIN_VALUES = 2_048  # fewer are converted in less than half a millisecond
MAX_SHAPES = 4
BUDGET_S = 0.02  # of each; a few rounds of some tenths of a millisecond
_TYPES = {"float": "float32", "double": "float64", "long int": "int64", "int": "int32", "unsigned char": "uint8"}


def try_made(torch: Any, made: Sequence[tuple[list[int], str]]) -> dict[str, float]:
    """``made.<dims>.<type>.stacked_ms`` and more, for the largest tensors of two dimensions or more."""
    asked = [(dims, kind) for dims, kind in made if len(dims) > 1 and prod(dims) >= MIN_VALUES and kind in _TYPES]
    values: dict[str, float] = {}
    for dims, kind in sorted(asked, key=lambda each: -prod(each[0]))[:MAX_SHAPES]:
        name = f"made.{'x'.join(map(str, dims))}.{kind.replace(' ', '_')}"
        values |= try_batch(torch, name, [(dims, _TYPES[kind])], time.perf_counter() + BUDGET_S)
    return values
