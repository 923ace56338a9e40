"""Other processes on the machine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from slowprobe.run.schema import Resources
from slowprobe.run.worker_records import WorkerBatches, WorkerResources
from slowprobe.timeline.neighbours import neighbours


def _recording(own_s: float, busy_s: float, idle_s: float, readings: int = 4) -> Any:
    records = [
        Resources(
            at_ns=index * 10**9,
            cpu_s=1.0 + own_s * index,
            rss_bytes=1,
            system_busy_s=100.0 + busy_s * index,
            available_bytes=1,
            system_idle_s=50.0 + idle_s * index,
        )
        for index in range(readings)
    ]
    return SimpleNamespace(run=SimpleNamespace(of=lambda kind: records))


def test_a_busy_machine_is_told_from_a_busy_training() -> None:
    beside = neighbours(_recording(own_s=0.8, busy_s=2.0, idle_s=0.0), [])
    assert beside is not None and beside.in_the_way
    assert (round(beside.busy, 2), round(beside.others, 2)) == (1.0, 0.6)
    alone = neighbours(_recording(own_s=1.9, busy_s=2.0, idle_s=0.0), [])
    assert alone is not None and not alone.in_the_way


def test_idle_cores_are_in_nobodys_way() -> None:
    beside = neighbours(_recording(own_s=0.5, busy_s=1.5, idle_s=2.5), [])
    assert beside is not None and not beside.in_the_way


def test_too_few_readings_say_nothing() -> None:
    assert neighbours(_recording(1.0, 2.0, 0.0, readings=2), []) is None


def test_the_threads_of_libraries_in_workers_are_the_runs_own() -> None:
    batches = WorkerBatches(every=1, start=[0], fetch=[10**9], fetch_cpu=[5 * 10**8], collate=[0], size=[8])
    read = [WorkerResources(at_ns=at * 10**9, cpu_ns=at * 10**9) for at in (1, 2, 3, 4)]  # the last is after the run's
    records = {WorkerBatches: [batches], WorkerResources: read}
    worker: Any = SimpleNamespace(run=SimpleNamespace(of=records.__getitem__))
    beside = neighbours(_recording(own_s=0.8, busy_s=2.0, idle_s=0.0), [worker])
    assert beside is not None
    assert round(beside.others, 2) == 0.1  # 6 s, less 2.4 and 3
    records[WorkerResources] = []
    beside = neighbours(_recording(own_s=0.8, busy_s=2.0, idle_s=0.0), [worker])
    assert beside is not None
    assert round(beside.others, 2) == 0.5  # 6 s, less 2.4 and 1.2 x 0.5
