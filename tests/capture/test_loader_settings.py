"""What is told of a loader's dataset."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, random_split

from slowprobe.capture.loader_settings import below_subsets, describe


class Rows(Dataset[torch.Tensor]):
    def __init__(self) -> None:
        self.x, self.names = torch.zeros(8, 2), ["a"] * 8

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.x[index]

    def __len__(self) -> int:
        return 8


class Augmented(Subset[Any]):
    """More than a choice of rows."""


def told(dataset: Any) -> tuple[Any, Any, Any]:
    described = describe(DataLoader(dataset, batch_size=2))
    return described["dataset"], described["subset_of"], described["arrays"]


def test_a_subset_is_told_by_the_dataset_below() -> None:
    table = TensorDataset(torch.zeros(8, 2))
    part, _ = random_split(table, [6, 2])
    assert told(table) == ("TensorDataset", None, "tensors")
    assert told(part) == ("Subset", "TensorDataset", "tensors")
    assert told(Subset(Subset(Rows(), range(6)), [0, 1, 2])) == ("Subset", "Rows", "x")


def test_a_subset_with_a_class_of_its_own_is_not_looked_through() -> None:
    assert told(Augmented(Rows(), [0, 1])) == ("Augmented", None, "")


def test_a_ring_of_subsets_ends() -> None:
    ring: Any = Subset(Rows(), [0])
    ring.dataset = ring
    assert below_subsets(ring) is ring


def test_a_list_of_rows_goes_through_nested_subsets() -> None:
    """What the edit that per-item-indexing advises relies on."""
    table = TensorDataset(torch.arange(10))
    part = Subset(Subset(table, [9, 8, 7, 6]), [3, 0])
    assert part[[1, 0]][0].tolist() == [9, 6]
