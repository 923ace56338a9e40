"""Real workers record how they made their batches, whatever way they were started."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from run_folder import make
from torch.utils.data import DataLoader, Dataset, IterableDataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter, _SingleProcessDataLoaderIter

from slowprobe.capture import session as sessions
from slowprobe.capture.session import Options, Session
from slowprobe.diagnose.evidence import Evidence
from slowprobe.run.reader import load_run
from slowprobe.timeline.worker_side import BatchMaking


class Spin:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, x: Any) -> Any:
        end = time.perf_counter() + self.seconds
        while time.perf_counter() < end:
            pass
        return x


class Sleep(Spin):
    def __call__(self, x: Any) -> Any:
        time.sleep(self.seconds)
        return x


class Both:
    def __init__(self, transforms: list[Any]) -> None:
        self.transforms = transforms

    def __call__(self, x: Any) -> Any:
        for transform in self.transforms:
            x = transform(x)
        return x


def noisy(x: torch.Tensor) -> torch.Tensor:
    return x + torch.rand(x.shape)


class Items(Dataset[Any]):
    def __init__(self, length: int = 80) -> None:
        self.length = length
        self.transform = Both([Spin(0.001), Sleep(0.002), noisy])

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> torch.Tensor:
        if not 0 <= index < self.length:
            raise IndexError(index)
        with open(__file__, "rb") as file:
            file.read(100)
        return self.transform(torch.full((256,), float(index)))


class Stream(IterableDataset[Any]):
    def __init__(self) -> None:
        self.items = Items(40)

    def __iter__(self) -> Iterator[Any]:
        for index in range(40):
            yield self.items[index]


class OwnIteration(DataLoader[Any]):
    """As torchdata's StatefulDataLoader: never calls DataLoader.__iter__."""

    def __iter__(self) -> Any:
        return _MultiProcessingDataLoaderIter(self) if self.num_workers else _SingleProcessDataLoaderIter(self)


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Callable[[], Session]]:
    made: list[Session] = []

    def start() -> Session:
        session = Session(make(tmp_path / "run"), time.perf_counter_ns(), Options(trace=False))
        session.start()
        made.append(session)
        return session

    yield start
    for session in made:
        session.stop()
    assert sessions.active is None


def batches(loader: Any, passes: int = 2) -> list[torch.Tensor]:
    """What the loader gives, with all random numbers drawn anew."""
    torch.manual_seed(1)
    return [batch for _ in range(passes) for batch in loader]


def recorded(record: Callable[[], Session], loader: Any, passes: int = 2) -> tuple[Evidence, BatchMaking]:
    """The evidence of `passes` over a loader, whose batches are the same as without slowprobe."""
    alone = batches(loader, passes)
    session = record()
    seen = batches(loader, passes)
    session.stop()
    assert len(seen) == len(alone) and all(torch.equal(a, b) for a, b in zip(seen, alone, strict=True))
    evidence = Evidence(load_run(session.folder))
    return evidence, evidence.loaders[0].making


def by_name(making: BatchMaking) -> dict[str, Any]:
    return {transform.name: transform for transform in making.transforms}


@pytest.mark.parametrize("kind", [DataLoader, OwnIteration])
def test_forked_workers(kind: Any, record: Callable[[], Session]) -> None:
    evidence, making = recorded(
        record, kind(Items(), batch_size=8, num_workers=2, shuffle=True, multiprocessing_context="fork")
    )
    (loader,) = evidence.loaders
    assert loader.passes == 2 and len(loader.fetch) == 20 == len(making.index) == len(making.end_s)
    assert sorted(making.index.tolist()) == sorted([*range(10)] * 2)
    assert all(making.index % 2 == making.worker)
    found = by_name(making)
    assert {name: found[name].calls for name in found} == {"Both": 160, "Spin": 160, "Sleep": 160, "noisy": 160}
    assert found["Sleep"].wall_s >= 160 * 0.002 and found["Sleep"].cpu_s < 0.5 * found["Sleep"].wall_s
    assert found["Spin"].where.function == "Spin.__call__" and found["Both"].wall_s < 0.5 * found["Spin"].wall_s
    assert 0.9 * 160 * 0.003 <= making.transform_s <= loader.fetch_s
    assert making.io_wait_s >= 160 * 0.0015
    assert making.batch_bytes == 8 * 256 * 4 and 0 < making.payload_bytes < 2000
    assert making.hand_over_s > 0 and making.opens_per_item == pytest.approx(1.0)
    assert making.open_sites[0][0].function == "Items.__getitem__"
    assert making.startup.shape == (2,) and 0 < making.startup_s < 30
    assert len(making.workers) == 4 and all(worker.batches == 5 for worker in making.workers)
    assert 0.5 < making.busy_share <= 1 and making.imbalance < 1.5
    assert making.head_of_line_s is not None and making.context == "fork" and making.pin_thread is False


def test_spawned_and_kept_workers(record: Callable[[], Session]) -> None:
    loader = DataLoader(Items(), batch_size=8, num_workers=1, multiprocessing_context="spawn", persistent_workers=True)
    torch.manual_seed(1)
    session = record()
    assert len([batch for _ in range(2) for batch in loader]) == 20
    loader._iterator._shutdown_workers()  # type: ignore[union-attr]
    session.stop()
    making = Evidence(load_run(session.folder)).loaders[0].making
    assert making.index.tolist() == [*range(10), *range(10)] and making.number.tolist() == [*range(20)]
    assert by_name(making)["noisy"].calls == 160
    assert making.context == "spawn" and len(making.startup) == 1 and making.workers[0].spawn_s > 0


def test_iterable_datasets(record: Callable[[], Session]) -> None:
    evidence, making = recorded(record, DataLoader(Stream(), batch_size=10, num_workers=1), passes=1)
    assert by_name(making)["Spin"].calls == 40
    assert len(evidence.loaders[0].fetch) == 4  # the request that finds nothing more makes no batch


@pytest.mark.parametrize("kind", [DataLoader, OwnIteration])
def test_without_workers_transform_objects_are_timed_here(kind: Any, record: Callable[[], Session]) -> None:
    call, items = vars(Spin)["__call__"], Items()
    before = list(items.transform.transforms)
    evidence, making = recorded(record, kind(items, batch_size=8), passes=1)
    found = by_name(making)
    assert {name: found[name].calls for name in found} == {"Both": 80, "Spin": 80, "Sleep": 80}
    assert making.transform_s <= evidence.loaders[0].fetch_s and making.batch_bytes == 8 * 256 * 4
    assert vars(Spin)["__call__"] is call and items.transform.transforms == before
    assert making.head_of_line_s is None and making.workers == ()


def test_a_slow_batch_holds_up_the_ready_ones(record: Callable[[], Session]) -> None:
    class Uneven(Items):
        def __getitem__(self, index: int) -> torch.Tensor:
            time.sleep(0.12 if index % 8 == 0 else 0.001)
            return torch.zeros(1)

    _, making = recorded(
        record, DataLoader(Uneven(64), batch_size=1, num_workers=2, multiprocessing_context="fork"), passes=1
    )
    assert 0.3 < making.head_of_line_s < 8 * 0.13


def test_the_property_of_iterators_is_taken_off(record: Callable[[], Session]) -> None:
    from torch.utils.data.dataloader import _BaseDataLoaderIter

    session = record()
    assert "_worker_init_fn" in vars(_BaseDataLoaderIter)
    session.stop()
    assert "_worker_init_fn" not in vars(_BaseDataLoaderIter)


def test_threads_of_libraries_are_told_from_pythons():
    import threading

    from slowprobe.capture.worker_resources import _native_threads

    count, _ = _native_threads()
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    assert _native_threads()[0] == count
    done.set()
    thread.join()
