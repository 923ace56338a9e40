"""What slowprobe itself cost, measured in the process that was recorded."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from slowprobe.capture.probes.wrapping import timed_method
from slowprobe.capture.recorder import Recorder
from slowprobe.run.schema import Calibration

_CALLS = 100
_CACHE = bytes(2_000_000)  # what a training step leaves of the processor's caches


def span_cost_ns(is_compiling: Callable[[], bool]) -> float:
    """What a span adds to a call on this machine, in ns; medians, with cold caches as between torch operators.

    In a tight loop it is a quarter of that.
    """
    recorder = Recorder()
    wrapped = timed_method(_nothing, recorder, lambda owner: 1, is_compiling)
    return max(0.0, _cold_ns(wrapped, recorder) - _cold_ns(_nothing, recorder))


def _nothing(owner: object) -> None:
    pass


def _cold_ns(call: Callable[[object], None], owner: object) -> float:
    each = []
    for _ in range(_CALLS):
        bytearray(_CACHE)
        begin = time.perf_counter_ns()
        call(owner)
        each.append(time.perf_counter_ns() - begin)
    return statistics.median(each)


def measure_costs(
    is_compiling: Callable[[], bool],
    spans: int,
    samples: int,
    background_cpu_ns: int,
    attached_ns: int,
    detach_ns: int,
) -> Calibration:
    """slowprobe's own cost in this run, as `Calibration` values."""
    return Calibration(
        values={
            "slowprobe.spans": float(spans),
            "slowprobe.span_ns": span_cost_ns(is_compiling),
            "slowprobe.samples": float(samples),
            "slowprobe.background_cpu_ns": float(background_cpu_ns),
            "slowprobe.attached_ns": float(attached_ns),
            "slowprobe.detach_ns": float(detach_ns),
        }
    )
