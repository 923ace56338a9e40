"""One turn's gradients, followed to the optimizer step that uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from slowprobe.capture.gradient_graph import PARTLY, USEFUL, WASTED, read_graph
from slowprobe.capture.gradient_use import GradientWatch
from slowprobe.capture.recorder import Recorder
from slowprobe.run.gradient_record import GradientUse


class Loop:
    """Tells a watch of what the probes would see."""

    def __init__(self, *models: nn.Module, optimizers: list[Any]) -> None:
        self.written: list[GradientUse] = []
        self.watch = GradientWatch(Recorder(), 1, self.written.append, lambda: list(models), lambda: optimizers)

    def backward(self, loss: torch.Tensor, subject: int = 1) -> None:
        if self.watch.active:
            self.watch.backward((loss,), {}, subject)
        loss.backward()

    def step(self, optimizer: Any) -> None:
        self.watch.step(optimizer)
        optimizer.step()

    def zero_grad(self, owner: Any) -> None:
        self.watch.zero_grad(owner)
        owner.zero_grad()

    def run(self, turn: Callable[[], None], turns: int = 5) -> GradientUse | None:
        for _ in range(turns):
            turn()
            self.watch.turn()
        return self.written[-1] if self.written else None


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
        self.head = nn.Linear(4, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(inputs))


def simple(net: Net, *optimizers: Any, after: Callable[[], None] = lambda: None) -> GradientUse | None:
    loop = Loop(net, optimizers=list(optimizers))

    def turn() -> None:
        net.zero_grad()
        loop.backward(net(torch.ones(2, 4)).sum())
        for optimizer in optimizers:
            loop.step(optimizer)
        after()

    return loop.run(turn)


def test_parameters_in_no_optimizer_are_wasted() -> None:
    net = Net()
    use = simple(net, torch.optim.SGD(net.head.parameters(), lr=0.1))
    assert use is not None and use.wasted == [("Net.backbone", "unowned", 4, 40)]
    by_name = {(use.names[node], fate) for node, fate in zip(use.nodes[0], use.fates[0], strict=True)}
    assert ("AddmmBackward0", PARTLY) in by_name  # the head's: its weight learns, its input need not know
    assert ("ReluBackward0", WASTED) in by_name
    assert ("SumBackward0", USEFUL) in by_name


def test_all_in_an_optimizer_are_used() -> None:
    net = Net()
    use = simple(net, torch.optim.SGD(net.parameters(), lr=0.1))
    assert use is not None and use.wasted == [] and use.nodes == [] and use.passes == 1


def test_frozen_parameters_are_in_no_graph() -> None:
    net = Net()
    net.backbone.requires_grad_(False)
    use = simple(net, torch.optim.SGD(net.head.parameters(), lr=0.1))
    assert use is not None and use.wasted == []


def test_what_other_code_updates_is_used() -> None:
    net = Net()

    def by_hand() -> None:
        with torch.no_grad():
            for param in net.backbone.parameters():
                param -= 0.1 * param.grad

    use = simple(net, torch.optim.SGD(net.head.parameters(), lr=0.1), after=by_hand)
    assert use is not None and use.wasted == []


@pytest.mark.parametrize("scheduled", [False, True])
def test_a_learning_rate_of_zero_wastes_unless_it_is_scheduled(scheduled: bool) -> None:
    net = Net()
    groups = [{"params": net.head.parameters(), "lr": 0.1}, {"params": net.backbone.parameters(), "lr": 0.0}]
    optimizer = torch.optim.SGD(groups)
    if scheduled:
        torch.optim.lr_scheduler.StepLR(optimizer, 10)
    use = simple(net, optimizer)
    assert use is not None
    assert [row[1] for row in use.wasted] == ([] if scheduled else ["idle"])


def gan(frozen: bool, steps_discriminator: bool = True) -> GradientUse | None:
    generator, discriminator = Net(), Net()
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.1) for net in (generator, discriminator)]
    widen = nn.Linear(1, 4).requires_grad_(False)
    loop = Loop(generator, discriminator, optimizers=optimizers)

    def turn() -> None:
        fake = widen(generator(torch.ones(2, 4)))
        if frozen:
            discriminator.requires_grad_(True)
        loop.zero_grad(optimizers[1])
        loop.backward(discriminator(fake.detach()).sum(), 1)
        if steps_discriminator:
            loop.step(optimizers[1])
        loop.zero_grad(optimizers[0])
        if frozen:
            discriminator.requires_grad_(False)
        loop.backward(discriminator(fake).sum(), 2)
        loop.step(optimizers[0])

    return loop.run(turn)


def test_the_discriminators_gradients_in_the_generators_step_are_dropped() -> None:
    use = gan(frozen=False)
    assert use is not None and {row[1] for row in use.wasted} == {"dropped"}
    assert use.subjects == [1, 2]
    assert set(use.fates[0]) == {USEFUL} and {PARTLY, WASTED} <= set(use.fates[1])
    fixed = gan(frozen=True)
    assert fixed is not None and fixed.wasted == []


def test_an_optimizer_that_did_not_step_may_have_skipped_it() -> None:
    """A GradScaler that meets an overflow leaves the step out, and the gradients are cleared."""
    use = gan(frozen=False, steps_discriminator=False)
    assert use is not None and use.wasted == []


def test_without_a_step_nothing_is_said() -> None:
    net = Net()
    assert simple(net) is None


def test_a_graph_that_is_too_large_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slowprobe.capture.gradient_graph.MAX_NODES", 3)
    assert read_graph(Net()(torch.ones(2, 4)).sum()) is None
