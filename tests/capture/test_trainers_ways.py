"""What trainers do that plain loops do not: make a loader again for each pass, and train inside optimizer.step."""

from __future__ import annotations

import gc
import linecache
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from run_folder import make
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from slowprobe.capture.session import Options, Session
from slowprobe.run.reader import load_run
from slowprobe.run.schema import KINDS, Chunk, Subject

DATA = TensorDataset(torch.arange(32.0).reshape(8, 4))
Made = Iterator[DataLoader[Any]]


@contextmanager
def recorded(folder: Path) -> Iterator[dict[str, dict[int, int]]]:
    """Counts by kind and subject of what is recorded inside, once that is over."""
    session = Session(make(folder), time.perf_counter_ns(), Options(trace=False))
    session.start()
    counts: dict[str, dict[int, int]] = {}
    yield counts
    session.stop()
    for chunk in load_run(folder).of(Chunk):
        for kind, subject, count, *_ in chunk.spans:
            of_kind = counts.setdefault(KINDS[kind], {})
            of_kind[subject] = of_kind.get(subject, 0) + count


def anew() -> Made:
    for _ in range(3):
        yield DataLoader(DATA, batch_size=4)


def of_folds() -> Made:
    for fold in range(3):
        yield DataLoader(Subset(DATA, list(range(fold, fold + 6))), batch_size=4)


def with_a_class_made_anew() -> Made:
    for _ in range(3):

        class Rows(TensorDataset):
            pass

        yield DataLoader(Rows(*DATA.tensors), batch_size=4)


def two_phases() -> Made:
    sets = {phase: TensorDataset(torch.zeros(8, 4)) for phase in ("train", "val")}
    for phase in ("train", "val", "train", "val"):
        yield DataLoader(sets[phase], batch_size=4)


@pytest.mark.parametrize(("makes", "loaders"), [(anew, 1), (of_folds, 1), (with_a_class_made_anew, 1), (two_phases, 4)])
def test_loader_made_again(makes: Callable[[], Made], loaders: int, tmp_path: Path) -> None:
    with recorded(tmp_path / "run") as counts:
        for loader in makes():
            for _ in loader:
                pass
    assert len(counts["data_wait"]) == loaders


def test_two_loaders_of_one_line_at_a_time_stay_two(tmp_path: Path) -> None:
    with recorded(tmp_path / "run") as counts:
        pair = [DataLoader(DATA, batch_size=4) for _ in range(2)]
        for _ in range(3):
            for _ in zip(*pair, strict=True):
                pass
    assert sorted(counts["data_wait"].values()) == [6, 6]


class Closure:
    """A callable object without a name, as Lightning's is."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.model, self.optimizer, self.losses = model, optimizer, list[float]()

    def __call__(self) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss: torch.Tensor = self.model(DATA.tensors[0]).pow(2).mean()
        loss.backward()
        self.losses.append(loss.item())
        return loss


def step_with_closure(by_name: bool) -> list[float]:
    torch.manual_seed(2)
    model = nn.Linear(4, 4)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    closure = Closure(model, optimizer)
    for _ in range(4):
        optimizer.step(closure=closure) if by_name else optimizer.step(closure)
    return closure.losses


@pytest.mark.parametrize("by_name", [True, False])
def test_closure_is_a_span_and_computes_the_same(by_name: bool, tmp_path: Path) -> None:
    alone = step_with_closure(by_name)
    with recorded(tmp_path / "run") as counts:
        assert step_with_closure(by_name) == alone
    assert sum(counts["optimizer"].values()) == 4
    assert sum(counts["closure"].values()) == sum(counts["backward"].values()) == len(alone)


def test_a_dataset_goes_when_its_loop_is_over(tmp_path: Path) -> None:
    with recorded(tmp_path / "run"):
        dataset = Subset(DATA, [0, 1, 2, 3])
        gone = weakref.ref(dataset)
        gc.disable()
        try:
            for _ in DataLoader(dataset, batch_size=2):
                pass
            del dataset
            assert gone() is None
        finally:
            gc.enable()


def test_a_trainers_copy_of_a_loader_has_the_users_line(tmp_path: Path) -> None:
    library: dict[str, Any] = {}
    exec(compile("def prepare(make, loader): return make(loader.dataset, batch_size=2)", "<library>", "exec"), library)
    with recorded(tmp_path / "run"):
        loader = DataLoader(DATA, batch_size=2)
        prepared = library["prepare"](DataLoader, loader)
        for _ in prepared:
            pass
    sites = [subject.site for subject in load_run(tmp_path / "run").of(Subject) if subject.kind == "data_wait"]
    assert [linecache.getline(site.file, site.line).strip() for site in sites if site is not None] == [
        "loader = DataLoader(DATA, batch_size=2)"
    ]
