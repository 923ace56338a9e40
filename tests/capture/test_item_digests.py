"""Items are known again by what they hold, in whatever worker and pass they are made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_folder import make
from torch.utils.data import DataLoader, Dataset, IterableDataset

from slowprobe.capture.batch_digest import batch_digest
from slowprobe.capture.item_digests import MOST_ITEMS, MOST_TIMES, ItemLog, chosen_items
from slowprobe.capture.session import Options, Session
from slowprobe.diagnose.evidence import Evidence
from slowprobe.run.reader import load_run
from slowprobe.timeline.repeated_items import RepeatedItems


class Resize:
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x.repeat(4)


class Flip:
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand(())


class Images(Dataset[Any]):
    def __init__(self, *transforms: Any) -> None:
        self.transforms = list(transforms)

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Any:
        x = torch.full((100,), float(index))
        for transform in self.transforms:
            x = transform(x)
        return x, index


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        images = Images(Resize())
        return iter([images[index] for index in range(len(images))])


def found(tmp_path: Path, loader: Any, passes: int = 3) -> RepeatedItems | None:
    session = Session(make(tmp_path / "run"), time.perf_counter_ns(), Options(trace=False))
    session.start()
    for _ in range(passes):
        for _ in loader:
            pass
    loader._iterator = None  # ends workers that were kept
    session.stop()
    evidence = Evidence(load_run(session.folder))
    return evidence.repeated_items.get(evidence.loaders[0].id)


@pytest.mark.parametrize("settings", [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}])
def test_items_are_compared_across_passes_and_workers(tmp_path: Path, settings: dict[str, Any]) -> None:
    loader = DataLoader(Images(Resize(), Flip()), batch_size=8, shuffle=True, **settings)
    seen = found(tmp_path, loader)
    assert seen is not None and seen.items.compared == MOST_ITEMS and seen.items.equal == 0
    transforms = {name: (repeats.compared, repeats.equal) for (name, _), repeats in seen.transforms.items()}
    assert transforms == {"Resize": (MOST_ITEMS, MOST_ITEMS), "Flip": (MOST_ITEMS, 0)}


def test_the_same_items_are_equal(tmp_path: Path) -> None:
    seen = found(tmp_path, DataLoader(Images(Resize()), batch_size=8, shuffle=True, num_workers=1))
    assert seen is not None and seen.items.compared == seen.items.equal == MOST_ITEMS


@pytest.mark.parametrize("loader", [DataLoader(Stream(), batch_size=8), DataLoader(Images(), batch_size=None)])
def test_without_indices_or_batches_nothing_is_compared(tmp_path: Path, loader: Any) -> None:
    assert chosen_items(loader) == frozenset()
    assert found(tmp_path, loader) is None


def test_each_item_is_looked_at_a_few_times_only() -> None:
    log = ItemLog()
    log.choose(1, frozenset({3}))
    for _ in range(2 * MOST_TIMES):
        log.begin(1, [2, 3])
        if log.looking:
            log.made(["two", "three"])
    (record,) = log.take()
    assert record.index == [3] * MOST_TIMES and len(set(record.digest)) == 1 and log.take() == []


@pytest.mark.parametrize("index", [5, [[1], [2]], None])
def test_a_sampler_of_its_own_kind_does_no_harm(index: Any) -> None:
    log = ItemLog()
    log.choose(1, frozenset({1, 2}))
    log.begin(1, index)
    assert not log.looking


def test_a_change_in_the_middle_of_a_large_array_is_noticed() -> None:
    one = np.zeros((3, 512, 512), dtype=np.float32)
    two = one.copy()
    two[1, 200:260, 200:260] = 1.0
    assert batch_digest(one) == batch_digest(two)
    assert batch_digest(one, everywhere=True) != batch_digest(two, everywhere=True)
