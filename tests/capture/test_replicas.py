"""What is read of models in DistributedDataParallel, with one process as its own group."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch.distributed")

from slowprobe.capture.patches import Patches  # noqa: E402
from slowprobe.capture.recorder import Recorder  # noqa: E402
from slowprobe.capture.replicas import ReplicaWatch  # noqa: E402
from slowprobe.capture.sites import Sites  # noqa: E402
from slowprobe.capture.subjects import Subjects  # noqa: E402
from slowprobe.run.replica_record import Replicas  # noqa: E402


@pytest.fixture
def group() -> Iterator[None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.fixture
def watched() -> Iterator[tuple[ReplicaWatch, list[Replicas]]]:
    written: list[Replicas] = []
    subjects = Subjects(lambda _: None, Sites())
    watch, patches = ReplicaWatch(Recorder(), subjects, lambda r: written.append(_copy(r))), Patches()
    watch.attach(patches)
    yield watch, written
    patches.undo()


def _copy(record: Replicas) -> Replicas:
    return Replicas(**{name: getattr(record, name) for name in record.__struct_fields__})


class TwoHeads(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads = torch.nn.ModuleList([torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)])
        self.turn: int | None = None

    def forward(self, x: Any) -> Any:
        if self.turn is None:
            return self.heads[0](x) + self.heads[1](x)
        self.turn += 1
        return self.heads[self.turn % 2](x)


def train(watch: ReplicaWatch, model: Any, passes: int, synced_every: int = 1) -> None:
    for i in range(passes):
        model.require_backward_grad_sync = (i + 1) % synced_every == 0
        loss = model(torch.ones(2, 4)).sum()
        watch.backward()
        loss.backward()
    watch.detach()


def test_passes_under_no_sync_are_not_counted_as_exchanges(group: None, watched: Any) -> None:
    watch, written = watched
    train(watch, torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 2)), 12, synced_every=4)
    last = written[-1]
    assert (last.models, last.world_size, last.backwards, last.synced) == (1, 1, 12, 3)
    assert not last.find_unused and last.buckets == 1
    assert last.site is not None and last.site.file.endswith("test_replicas.py")


@pytest.mark.parametrize(("turn", "same"), [(None, True), (0, False)])
def test_the_reducer_says_whether_parameters_were_unused(
    group: None, watched: Any, turn: int | None, same: bool
) -> None:
    watch, written = watched
    heads = TwoHeads()
    heads.turn = turn
    train(watch, torch.nn.parallel.DistributedDataParallel(heads, find_unused_parameters=True), 20)
    last = written[-1]
    assert last.find_unused and last.same_graph is same
    assert turn is not None or last.unused_bytes == 0


def test_it_detaches(watched: Any) -> None:
    original = torch.nn.parallel.DistributedDataParallel.__init__
    assert original.__wrapped__ is not None
    patches = Patches()
    ReplicaWatch(Recorder(), Subjects(lambda _: None, Sites()), lambda _: None).attach(patches)
    patches.undo()
    assert torch.nn.parallel.DistributedDataParallel.__init__ is original
