"""Median times of short experiments, interleaved."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

ROUNDS = 11


def medians_ms(until: float, *runs: Callable[[], Any]) -> list[float]:
    """Median milliseconds of each, interleaved, after one warm-up."""
    for run in runs:
        run()
    times: list[list[float]] = [[] for _ in runs]
    while not times[0] or (len(times[0]) < ROUNDS and time.perf_counter() < until):
        for number, run in enumerate(runs):
            begin = time.perf_counter()
            run()
            times[number].append((time.perf_counter() - begin) * 1000)
    return [statistics.median(each) for each in times]
