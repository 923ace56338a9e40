"""What slowprobe itself cost, measured in the process that was recorded."""

from __future__ import annotations

import statistics
import time

from slowprobe.capture.recorder import Recorder
from slowprobe.run.schema import Calibration

_ROUNDS, _PAIRS = 5, 400


def span_cost_ns() -> float:
    """The cost of opening and closing one span on this machine, in ns; median of several rounds."""
    rounds = []
    for _ in range(_ROUNDS):
        recorder = Recorder()
        begin = time.perf_counter_ns()
        for _ in range(_PAIRS):
            if recorder.here():
                recorder.open(0, 1)
                recorder.close(0)
        rounds.append((time.perf_counter_ns() - begin) / _PAIRS)
    return statistics.median(rounds)


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
