"""What slowprobe itself cost, measured in the process that was recorded."""

from __future__ import annotations

import statistics
import time

from slowprobe.capture.recorder import Recorder
from slowprobe.run.schema import Calibration

_PAIRS = 200
_CACHE = bytes(2_000_000)  # what a training step leaves of the processor's caches


def span_cost_ns() -> float:
    """The cost of opening and closing one span on this machine, in ns; median, with cold caches as between torch ops.

    In a tight loop the same calls take a fifth of that.
    """
    recorder = Recorder()
    each = []
    for _ in range(_PAIRS):
        bytearray(_CACHE)
        begin = time.perf_counter_ns()
        if recorder.here():
            recorder.open(1)
            recorder.close(1)
        each.append(time.perf_counter_ns() - begin)
    return statistics.median(each)


def measure_costs(spans: int, samples: int, background_cpu_ns: int, attached_ns: int, detach_ns: int) -> Calibration:
    """slowprobe's own cost in this run, as `Calibration` values."""
    return Calibration(
        values={
            "slowprobe.spans": float(spans),
            "slowprobe.span_ns": span_cost_ns(),
            "slowprobe.samples": float(samples),
            "slowprobe.background_cpu_ns": float(background_cpu_ns),
            "slowprobe.attached_ns": float(attached_ns),
            "slowprobe.detach_ns": float(detach_ns),
        }
    )
