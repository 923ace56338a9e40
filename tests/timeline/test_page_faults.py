from __future__ import annotations

from slowprobe.run.schema import Resources
from slowprobe.timeline.page_faults import page_faults


def reading(at_s: float, **faults: int) -> Resources:
    return Resources(
        at_ns=int(at_s * 1e9), cpu_s=0, rss_bytes=0, system_busy_s=0, available_bytes=0, page_faults=faults
    )


def test_a_steady_rate_is_divided_by_kind():
    readings = [reading(n, forward=3000 * n, python=1000 * n) for n in range(9)]
    assert page_faults(readings, 0, 100) == {"forward": 3000.0, "python": 1000.0}


def test_memory_that_is_filled_once_does_not_count():
    readings = [reading(0, forward=0), *(reading(n, forward=900_000) for n in range(1, 9))]
    assert page_faults(readings, 0, 100) == {"forward": 0.0}


def test_outside_the_loop_and_too_few_readings():
    readings = [reading(n, forward=1000 * n) for n in range(9)]
    assert page_faults(readings, 6.5, 100) is None
    assert page_faults([reading(n) for n in range(9)], 0, 100) is None
    assert page_faults([reading(n, forward=5) for n in range(9)], 0, 100) == {}
