"""Transforms are found wherever a dataset holds them, and counted by name, without anybody noticing."""

from __future__ import annotations

import functools
import pickle
import threading
import traceback
import types
import warnings
from typing import Any

import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset

from slowprobe.capture.patches import Patches
from slowprobe.capture.sites import strip_traceback
from slowprobe.capture.transform_timer import READ_CPU_EVERY, TransformTimer
from slowprobe.capture.transforms import TransformFinder


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


wall, cpu = Clock(), Clock()


class Crop:
    def __call__(self, x: Any) -> Any:
        wall.now += 30
        cpu.now += 20
        return x


class Compose:
    def __init__(self, transforms: list[Any]) -> None:
        self.transforms = transforms

    def __call__(self, x: Any) -> Any:
        wall.now += 5
        cpu.now += 5
        for transform in self.transforms:
            x = transform(x)
        return x


class Noise(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        wall.now += 100
        return x


class Raises:
    def __call__(self, x: Any) -> Any:
        wall.now += 7
        raise ValueError("no picture")


class Warns:
    def __call__(self, x: Any) -> Any:
        warnings.warn("slow", stacklevel=2)
        return x


def double(x: Any) -> Any:
    wall.now += 11
    return x


class Items(Dataset[Any]):
    def __init__(self, transform: Any = None, **more: Any) -> None:
        self.transform = transform
        self.samples = list(range(100))
        vars(self).update(more)

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> Any:
        return self.transform(index) if self.transform else index


@pytest.fixture
def timer() -> TransformTimer:
    wall.now = cpu.now = 0
    return TransformTimer(wall, cpu)


@pytest.fixture
def patches() -> Any:
    made = Patches()
    yield made
    made.undo()


@pytest.fixture(autouse=True)
def own_double() -> Any:
    yield
    globals()["double"] = getattr(double, "__wrapped__", double)


def counted(timer: TransformTimer, loader: int = 1) -> dict[str, list[int]]:
    """Name → calls, ns, ns beside which the CPU clock was read, CPU ns."""
    for record in timer.take():
        if record.loader == loader:
            return {record.names[name]: values for name, *values in record.rows}
    return {}


def watch(timer: TransformTimer, patches: Patches, dataset: Any, replaces: bool = True) -> None:
    TransformFinder(timer, patches, replaces).search(dataset)
    timer.begin(1)


def test_nested_calls_are_counted_exclusively(timer: TransformTimer, patches: Patches) -> None:
    items = Items(Compose([Crop(), Compose([Crop(), Noise()])]))
    watch(timer, patches, items)
    items[0], items[1]
    assert counted(timer) == {"Crop": [4, 120, 0, 0], "Compose": [4, 20, 0, 0], "Noise": [2, 200, 0, 0]}


def test_the_cpu_clock_is_read_in_some_batches(timer: TransformTimer, patches: Patches) -> None:
    items = Items(Compose([Crop(), Noise()]))
    watch(timer, patches, items)
    for _ in range(READ_CPU_EVERY):
        items[0]
        timer.begin(1)
    items[0]
    calls = READ_CPU_EVERY + 1
    assert counted(timer) == {
        "Crop": [calls, 30 * calls, 30, 20],
        "Compose": [calls, 5 * calls, 5, 5],
        "Noise": [calls, 100 * calls, 100, 0],
    }


def test_only_fetching_is_counted_and_each_loader_by_itself(timer: TransformTimer, patches: Patches) -> None:
    items = Items(Crop())
    watch(timer, patches, items)
    timer.pause()
    items[0]
    assert counted(timer) == {}
    timer.begin(1)
    items[0]
    timer.begin(2)
    items[0], items[0]
    other = threading.Thread(target=lambda: items[0])
    other.start()
    other.join()
    assert counted(timer, 1)["Crop"][0] == 1 and counted(timer, 2)["Crop"][0] == 2


def test_wrapped_datasets_lists_and_other_attributes_are_searched(timer: TransformTimer, patches: Patches) -> None:
    class Wrapper:
        def __init__(self, dataset: Any) -> None:
            self.dataset = dataset

        def __getitem__(self, index: int) -> Any:
            return self.dataset[index]

    inner = Items(Crop(), target_transform=Noise(), by_split={"train": Compose([])})
    watch(timer, patches, Wrapper(ConcatDataset([Subset(inner, [0, 1]), Items(Compose([Crop()]))])))
    inner[0], inner.target_transform(0), inner.by_split["train"](0)
    assert {name: row[0] for name, row in counted(timer).items()} == {"Crop": 1, "Noise": 1, "Compose": 1}


def test_the_format_function_of_a_hugging_face_dataset(timer: TransformTimer, patches: Patches) -> None:
    class Table:
        def __init__(self) -> None:
            self._format_kwargs = {"transform": double}

        def __getitem__(self, index: int) -> Any:
            return self._format_kwargs["transform"](index)

    table = Table()
    watch(timer, patches, table)
    table[0]
    assert counted(timer) == {"double": [1, 11, 0, 0]}


def test_functions_stay_functions_and_are_pickled_by_name(timer: TransformTimer, patches: Patches) -> None:
    items = Items(Compose([double, lambda x: x, functools.partial(double)]), target_transform=double)
    watch(timer, patches, items)
    assert isinstance(items.target_transform, types.FunctionType)
    assert items.target_transform is double  # the module's own name means the same
    assert pickle.loads(pickle.dumps(items.target_transform)) is double
    assert type(items.transform.transforms[2]) is functools.partial
    items[0], items.target_transform(0)
    found = counted(timer)
    assert found["double"][0] == 3
    assert sum("<lambda>" in name for name in found) == 1


def test_in_the_training_process_nothing_is_replaced(timer: TransformTimer, patches: Patches) -> None:
    model = torch.nn.Linear(2, 2)
    parts = [Crop(), double, torch.nn.Identity()]
    call = vars(Crop)["__call__"]
    items = Items(Compose(parts), target_transform=double, model=model)
    before, linear = dict(vars(items)), torch.nn.Linear.__call__
    watch(timer, patches, items, replaces=False)
    assert vars(items) == before and all(a is b for a, b in zip(items.transform.transforms, parts, strict=True))
    assert torch.nn.Linear.__call__ is linear
    items[0]
    assert counted(timer)["Crop"][0] == 1
    assert type(parts[0]) is Crop and pickle.loads(pickle.dumps(parts[0])).__class__ is Crop
    patches.undo()
    assert vars(Crop)["__call__"] is call


def test_errors_pass_through_and_are_counted(timer: TransformTimer, patches: Patches) -> None:
    items = Items(Compose([Raises()]))
    watch(timer, patches, items)
    with pytest.raises(ValueError, match="no picture") as raised:
        items[0]
    strip_traceback(raised.value)
    text = "".join(traceback.format_exception(raised.value))
    assert "slowprobe" not in text.replace(__file__, "") and "Raises" not in counted(timer)["Compose"]
    assert counted(timer) == {"Raises": [1, 7, 0, 0], "Compose": [1, 5, 0, 0]}


def test_warnings_name_the_line_that_they_would_name_alone(timer: TransformTimer, patches: Patches) -> None:
    items = Items(Warns())

    def warned() -> list[tuple[str, int]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            items[0]
        return [(warning.filename, warning.lineno) for warning in caught]

    alone = warned()
    watch(timer, patches, items)
    assert warned() == alone and alone[0][0] == __file__
    assert counted(timer)["Warns"][0] == 1


def test_a_class_that_is_also_part_of_a_compiled_model(timer: TransformTimer, patches: Patches) -> None:
    class Doubles(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    watch(timer, patches, Items(Doubles()), replaces=False)
    timer.pause()
    model = torch.compile(torch.nn.Sequential(Doubles(), torch.nn.Linear(2, 2)), backend="eager", fullgraph=True)
    model(torch.ones(1, 2))
    assert counted(timer) == {}


def test_odd_datasets_do_no_harm(timer: TransformTimer, patches: Patches) -> None:
    class Hostile:
        __slots__ = ()

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    class Generates:
        def __call__(self, x: Any) -> Any:
            yield x

    own: Any = Items(print, generates=Generates(), kind=Crop, bound=[].append, big=list(range(10_000)))
    own.itself = own
    for dataset in (None, 3, [1, 2], Hostile(), own):
        watch(timer, patches, dataset)
    assert list(own.generates(1)) == [1]
    assert counted(timer) == {}
