"""Facts about how batches were made, from records written by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import SyntheticRun

from slowprobe.diagnose.evidence import Evidence
from slowprobe.report.build import build_document
from slowprobe.run.reader import load_run
from slowprobe.run.record import Site
from slowprobe.run.worker_records import Transforms, WorkerBatches, WorkerHandOvers, WorkerHello, WorkerResources
from slowprobe.run.writer import JOURNAL, WORKERS, JournalWriter

MS = 1_000_000
CROP = Site("/home/someone/train.py", 3, "Crop.__call__")


def run_with(tmp_path: Path, num_workers: int, batches: int, wait_ms: Callable[[int], float], **attrs: Any) -> Any:
    """A loop whose waits are given; what the workers did is written by the test. (run, subject of the loader)"""
    run = SyntheticRun(tmp_path, "", startup_ms=100)
    loader = run.loader(num_workers=num_workers, **attrs)
    loader_made = loader.made
    with run.epoch(loader, start_ms=10):
        loader_made.clear()
        for number in range(batches):
            run.span("data_wait", loader.subject, wait_ms(number))
            run.train()
    return run, loader.subject


def write(
    run: SyntheticRun, loader: int, worker: int, *records: Any, spawned_ms: float = 100, at_ms: float = 130
) -> None:
    journal = JournalWriter(run.folder / WORKERS / f"{loader}-{worker}-{spawned_ms}.jsonl")
    hello = WorkerHello(
        pid=500 + worker,
        worker=worker,
        num_workers=2,
        loader=loader,
        at_ns=at_ms * MS,
        spawned_ns=spawned_ms * MS,
    )
    journal.write(hello, *records)
    journal.close()


def made(start_ms: list[float], fetch_ms: list[float], **columns: Any) -> WorkerBatches:
    count = len(start_ms)
    return WorkerBatches(
        every=columns.pop("every", 1),
        start=[int(ms * MS) for ms in start_ms],
        fetch=[int(ms * MS) for ms in fetch_ms],
        fetch_cpu=columns.pop("fetch_cpu", [int(ms * MS / 4) for ms in fetch_ms]),
        collate=[2 * MS] * count,
        size=[32] * count,
        number=columns.pop("number", list(range(count))),
        collate_cpu=columns.pop("collate_cpu", [MS] * count),
        tensor_bytes=columns.pop("tensor_bytes", [4096] + [-1] * (count - 1)),
        tensors=columns.pop("tensors", [2] + [-1] * (count - 1)),
    )


def handed(index: list[int], wall_ms: float = 0.5, number: list[int] | None = None) -> WorkerHandOvers:
    count = len(index)
    numbers = list(range(count)) if number is None else number
    return WorkerHandOvers(
        number=numbers, index=index, start=[0] * count, wall=[int(wall_ms * MS)] * count, cpu=[0] * count,
        payload=[600] * count,
    )  # fmt: skip


def making(run: SyntheticRun) -> Any:
    run.records()
    return Evidence(load_run(run.folder)).loaders[0].making


def test_cpu_hand_over_and_start_up(tmp_path: Path) -> None:
    run, loader = run_with(tmp_path, 2, 4, lambda _: 10, in_order=True, context="spawn", timeout_s=5, pin_thread=False)
    write(run, loader, 0, made([150, 180], [20, 20]), handed([0, 2]))
    write(run, loader, 1, made([160, 200], [20, 20], fetch_cpu=[5 * MS, -1], collate_cpu=[MS, -1]), handed([1, 3]))
    found = making(run)
    assert found.worker.tolist() == [0, 0, 1, 1] and found.index.tolist() == [0, 2, 1, 3]
    assert found.end_s.tolist() == pytest.approx([0.172, 0.202, 0.182, 0.222])
    assert found.fetch_cpu_share == pytest.approx(0.25) and np.isnan(found.fetch_cpu[3])
    assert found.collate_cpu_share == pytest.approx(0.5)
    assert found.io_wait_s == pytest.approx(0.080 * 0.75)
    assert found.hand_over_s == pytest.approx(4 * 0.0005) and found.payload_bytes == 600
    assert found.batch_bytes == 4096 and found.batch_tensors == 2
    assert found.startup_s == pytest.approx(0.060)  # worker 1: 30 ms to its first line, 30 more to its first batch
    assert [worker.spawn_s for worker in found.workers] == pytest.approx([0.03, 0.03])
    assert found.workers[0].busy_share == pytest.approx(44 / 52) and found.workers[1].busy_share == pytest.approx(
        44 / 62
    )
    assert found.imbalance == pytest.approx(1.0)
    assert (found.context, found.timeout_s, found.pin_thread) == ("spawn", 5.0, False)


def test_thinned_batches_count_for_those_left_out(tmp_path: Path) -> None:
    run, loader = run_with(tmp_path, 2, 4, lambda _: 10)
    write(
        run,
        loader,
        0,
        made([150], [10]),
        made([200, 240], [30, 30], every=2, number=[2, 4]),
        handed([0], 1.0),
        handed([4, 8], 2.0, [2, 4]),
    )
    found = making(run)
    assert found.workers[0].batches == 5
    assert found.io_wait_s == pytest.approx(0.75 * 0.130)
    assert found.hand_over_s == pytest.approx(1 * 0.001 + 4 * 0.002)


def test_waiting_for_a_batch_while_a_later_one_is_ready(tmp_path: Path) -> None:
    # The loop asks at 110, and trains 13 ms after each batch. Batch 2 takes long; batch 3 is made meanwhile.
    run, loader = run_with(tmp_path, 2, 6, lambda number: {0: 20, 2: 50}.get(number, 0))
    write(run, loader, 0, made([112, 130, 195], [16, 74, 1]), handed([0, 2, 4], 0.0))
    write(run, loader, 1, made([112, 130, 150], [16, 8, 8]), handed([1, 3, 5], 0.0))
    # waits: 0: 110-130 (made 130; 1 made 130), 1: none, 2: 156-206 (made 206; 3 made 140) → 50 ms
    assert making(run).head_of_line_s == pytest.approx(0.050)


@pytest.mark.parametrize("attrs", [{"in_order": False}, {}])
def test_no_order_no_head_of_line(attrs: dict[str, Any], tmp_path: Path) -> None:
    run, loader = run_with(tmp_path, 2, 6, lambda _: 10, **attrs)
    write(run, loader, 0, made([112, 130, 195], [16, 74, 1], number=[-1] * 3))
    assert making(run).head_of_line_s is None


def test_transforms_of_all_workers(tmp_path: Path) -> None:
    run, loader = run_with(tmp_path, 2, 4, lambda _: 10)

    def counted(calls: int) -> Transforms:
        rows = [[0, calls, calls * MS, 2 * MS, MS], [1, calls, 3 * calls * MS, 0, 0]]
        return Transforms(loader=loader, names=["Crop", "Flip"], sites=[CROP, None], rows=rows)

    write(run, loader, 0, made([150], [18]), counted(1), counted(4))  # the later record replaces the earlier one
    write(run, loader, 1, made([150], [18]), counted(2))
    found = making(run)
    flip, crop = found.transforms
    assert (crop.name, crop.where, crop.calls) == ("Crop", CROP, 6)
    assert (crop.wall_s, crop.cpu_s, crop.share) == pytest.approx((0.006, 0.003, 0.006 / 0.040))
    assert (flip.calls, flip.wall_s, flip.cpu_s) == (6, pytest.approx(0.018), None)
    assert found.transform_s == pytest.approx(0.024)


def test_memory_growth_reads_and_opens(tmp_path: Path) -> None:
    run, loader = run_with(tmp_path, 2, 4, lambda _: 10)

    def reading(second: int, mib: int | None) -> WorkerResources:
        return WorkerResources(
            at_ns=second * 1000 * MS,
            cpu_ns=second * 500 * MS,
            rss_bytes=1 << 30,
            uss_bytes=None if mib is None else mib << 20,
            rchar=1000 + second * 64_000,
            read_bytes=0,
            opens=second * 16,
            open_sites=[(*("/home/someone/train.py", 5, "Items.__getitem__"), second + 1)],
        )

    write(run, loader, 0, made([150, 200], [20, 20]), *(reading(*at) for at in ((0, None), (1, 50), (2, 10), (4, 30))))
    found = making(run)
    (worker,) = found.workers
    assert worker.growth_bytes == -20 << 20 and worker.growth_bytes_s == pytest.approx(
        np.polyfit([0, 1, 3], np.array([50, 10, 30]) * 2**20, 1)[0]
    )
    assert worker.uss_bytes == 30 << 20 and worker.cpu_s == 2.0
    assert found.rchar_per_batch == 4 * 64_000 / 2 and found.read_bytes_per_batch == 0
    assert found.opens_per_item == 1.0
    assert found.open_sites == ((Site("/home/someone/train.py", 5, "Items.__getitem__"), 1.0),)


def test_recordings_that_lack_all_this_say_nothing(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path, "", startup_ms=100)
    loader = run.loader(num_workers=2)
    with run.epoch(loader):
        for _ in range(6):
            run.batch(loader, fetch_ms=5, collate_ms=1)
            run.train()
    found = making(run)
    assert found.transforms == () and found.transform_s is None and found.hand_over_s is None
    assert found.head_of_line_s is None and found.batch_bytes is None and found.opens_per_item is None
    assert len(found.end_s) == 6 and found.workers[0].uss_bytes is None
    assert found.imbalance == pytest.approx(1.0)


def test_report_json_has_it_all(tmp_path: Path) -> None:
    run, loader = run_with(tmp_path, 2, 4, lambda _: 10)
    rows = [[0, 4, 4 * MS, 0, 0]]
    counted = Transforms(loader=loader, names=["Crop"], sites=[CROP], rows=rows)
    write(run, loader, 0, made([150, 180], [20, 20]), handed([0, 2]), counted)
    run.records()
    (row,) = build_document(load_run(run.folder)).loaders
    assert row.transform_s == 0.004 and row.batch_bytes == 4096 and row.hand_over_s == 0.001
    assert [(part.name, part.calls, part.seconds) for part in row.transforms] == [("Crop", 4, 0.004)]
    assert [(worker.worker, worker.batches) for worker in row.workers] == [(0, 2)]
    assert (run.folder / JOURNAL).exists()
