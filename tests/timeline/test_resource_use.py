"""Cores and memory over time, from readings written by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from slowprobe.run.schema import Resources
from slowprobe.run.worker_records import WorkerHello, WorkerResources
from slowprobe.timeline.resource_use import resource_use

S, MIB = 10**9, 2**20


def process(*records: Any) -> Any:
    def of(kind: type) -> list[Any]:
        return [record for record in records if isinstance(record, kind)]

    return SimpleNamespace(run=SimpleNamespace(of=of, last=lambda kind: (of(kind) or [None])[-1]))


def reading(at_s: float, cpu_s: float, busy_s: float, mib: int = 100) -> Resources:
    return Resources(
        at_ns=int(at_s * S), cpu_s=cpu_s, rss_bytes=mib * MIB, system_busy_s=busy_s, available_bytes=5 * MIB
    )


def hello(spawned_s: float) -> WorkerHello:
    return WorkerHello(
        pid=9, worker=0, num_workers=1, loader=1, at_ns=int(spawned_s * S), spawned_ns=int(spawned_s * S)
    )


def worker_reading(at_s: float, cpu_s: float, rss: int, uss: int | None = None) -> WorkerResources:
    own = None if uss is None else uss * MIB
    return WorkerResources(at_ns=int(at_s * S), cpu_ns=int(cpu_s * S), rss_bytes=rss * MIB, uss_bytes=own)


def test_cores_are_those_of_the_run_and_of_others() -> None:
    training = process(reading(1, 1.0, 10.0), reading(2, 2.0, 12.0, 150), reading(4, 5.0, 18.0, 120))
    worker = process(hello(1.0), worker_reading(2, 0.5, 80), worker_reading(4, 1.5, 90))
    use = resource_use(training, [worker])
    assert use is not None
    assert use.end_s.tolist() == [2, 4] and use.took_s.tolist() == [1, 2]
    assert use.training == pytest.approx([1.0, 1.5])
    assert use.workers == pytest.approx([0.5, 0.5])
    assert use.others == pytest.approx([0.5, 1.0])
    assert (use.training_bytes / MIB).tolist() == [150, 120]
    assert use.most_workers == 1


def test_what_workers_share_counts_once() -> None:
    training = process(*(reading(at, at, 2 * at) for at in range(1, 6)))
    # 300 MiB resident of which 280 are shared, seen at the second reading; then 40 more of its own
    worker = process(
        hello(1.0), worker_reading(2, 0.1, 300), worker_reading(3, 0.2, 300, 20), worker_reading(4, 0.3, 340)
    )
    use = resource_use(training, [worker])
    assert use is not None
    assert use.workers_bytes / MIB == pytest.approx([20, 20, 60, 0])  # gone after its last reading


def test_a_worker_started_late_kept_no_core_busy_before() -> None:
    training = process(*(reading(at, 0.0, float(at)) for at in range(1, 6)))
    worker = process(hello(1.0), worker_reading(4, 1.0, 300))  # asked for at 1 s, began at 3 s
    use = resource_use(training, [worker])
    assert use is not None
    assert use.workers == pytest.approx([0, 0, 1, 0]) and use.others == pytest.approx([1, 1, 0, 1])


def test_readings_close_together_are_one() -> None:
    training = process(reading(1, 1.0, 1.0), reading(1.01, 1.01, 1.0), reading(2, 2.0, 2.0))
    use = resource_use(training, [])
    assert use is not None and use.end_s.tolist() == [2]
    assert not np.isnan(use.training).any()


def test_one_reading_says_nothing() -> None:
    assert resource_use(process(reading(1, 1.0, 1.0)), []) is None
