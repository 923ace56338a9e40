"""What matrix products and convolutions of a step take, and the rate they reach: shapes joined to clean times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median

from slowprobe.run.kernels import Kernel, Kernels
from slowprobe.timeline.op_tree import OpTree

_ENGINE = "autograd::engine"


@dataclass(frozen=True, slots=True)
class Trial:
    """What one layer took after the run, forward and backward, by the setting; None where that was not tried."""

    now_ms: float
    gflops: float
    """With the run's settings."""
    bf16: float | None
    """What of the time remains in bfloat16."""
    channels_last: float | None
    both: float | None
    twice: float | None
    """The same for one sample in a batch of twice the size."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One product or convolution with those that differentiate it. Times are clean, a step."""

    kernel: Kernel
    """The first of them: the forward one."""
    calls: float
    forward_ms: float
    backward_ms: float
    gflop: float
    trial: Trial | None

    @property
    def ms(self) -> float:
        """Forward and backward."""
        return self.forward_ms + self.backward_ms

    @property
    def gflops(self) -> float:
        """The rate in the loop, in GFLOP/s."""
        return self.gflop / self.ms * 1e3 if self.ms else 0.0


@dataclass(frozen=True, slots=True)
class KernelWork:
    """All matrix products and convolutions of a step."""

    layers: tuple[Layer, ...]
    """By time, the dearest first."""
    step_ms: float
    """Median of the clean window's steps."""
    reach_gflops: float | None
    """The best rate seen: a large product's or a layer's after the run, or the loop's; None: nothing was tried."""

    @property
    def ms(self) -> float:
        """Of all of them, a step."""
        return sum(layer.ms for layer in self.layers)

    @property
    def share(self) -> float:
        """Of the step."""
        return min(1.0, self.ms / self.step_ms) if self.step_ms else 0.0

    @property
    def gflops(self) -> float:
        """The rate of all of them together."""
        return sum(layer.gflop for layer in self.layers) / self.ms * 1e3 if self.ms else 0.0

    @property
    def alone(self) -> float | None:
        """Of their time in the loop, what the tried layers took alone, after the run; None where none was tried."""
        tried = [(layer.ms, layer.gflop / layer.trial.gflops * 1e3) for layer in self.layers if layer.trial is not None]
        return sum(alone for _, alone in tried) / sum(ms for ms, _ in tried) if tried else None

    @property
    def twice(self) -> float | None:
        """What remains of a sample's time in a batch of twice the size; None where no layer was tried so."""
        tried = [
            (layer.ms, layer.trial.twice) for layer in self.layers if layer.trial is not None and layer.trial.twice
        ]
        return sum(ms * left for ms, left in tried) / sum(ms for ms, _ in tried) if tried else None

    @property
    def tried_share(self) -> float:
        """Of their time, what belongs to layers that were tried after the run."""
        return sum(layer.ms for layer in self.layers if layer.trial is not None) / self.ms if self.ms else 0.0


def kernel_work(kernels: Kernels, clean: OpTree, costs: Mapping[str, float]) -> KernelWork | None:
    """Join the annotated step's shapes to the clean window's times; None where the two do not agree on the operators.

    costs: what was measured after the run (`capture.kernel_trials`).
    """
    wanted = [kernels.distinct[number].name for number in kernels.order]
    names = set(wanted)
    steps = [_calls(clean, number, names) for number in range(len(clean.steps))]
    twins = [calls for calls in steps if [clean.names[i] for i in calls] == wanted]
    if not twins or not wanted:
        return None
    layers: dict[str, list[int]] = {}
    for at, number in enumerate(kernels.order):
        layers.setdefault(kernels.distinct[number].layer, []).append(at)
    found = [_layer(kernels, clean, twins, positions, costs) for positions in layers.values()]
    rates = [layer.trial.gflops for layer in found if layer.trial is not None]
    spent_ms = sum(layer.ms for layer in found)
    in_loop = sum(layer.gflop for layer in found) / spent_ms * 1e3 if spent_ms else 0.0
    tried = [costs.get("reach.gflops", 0.0), *rates]
    return KernelWork(
        tuple(sorted(found, key=lambda layer: -layer.ms)),
        median((step.end_ns - step.start_ns) / 1e6 for step in clean.steps),
        max(in_loop, *tried) if any(tried) else None,
    )


def _calls(tree: OpTree, step: int, names: set[str]) -> list[int]:
    """The step's operators of these names in order, without those inside another."""
    found: list[int] = []
    inside: set[int] = set()
    for i, (number, name) in enumerate(zip(tree.step_of, tree.names, strict=True)):
        if number != step:
            continue
        if tree.parent[i] in inside:
            inside.add(i)
        elif name in names:
            inside.add(i)
            found.append(i)
    return found


def _layer(
    kernels: Kernels, clean: OpTree, twins: list[list[int]], positions: list[int], costs: Mapping[str, float]
) -> Layer:
    first = kernels.order[positions[0]]
    spent = {at: fmean(clean.duration_ns[calls[at]] for calls in twins) / 1e6 for at in positions}
    forward = [at for at in positions if not clean.names[clean.root[twins[0][at]]].startswith(_ENGINE)]
    return Layer(
        kernel=kernels.distinct[first],
        calls=sum(kernels.order[at] == first for at in positions),
        forward_ms=sum(spent[at] for at in forward),
        backward_ms=sum(spent.values()) - sum(spent[at] for at in forward),
        gflop=sum(kernels.distinct[kernels.order[at]].flops for at in positions) / 1e9,
        trial=_trial(costs, first),
    )


def _trial(costs: Mapping[str, float], number: int) -> Trial | None:
    now, gflop = costs.get(f"kernel.{number}.now_ms"), costs.get(f"kernel.{number}.gflop")
    if not now or not gflop:
        return None

    def left(name: str, times: int = 1) -> float | None:
        spent = costs.get(f"kernel.{number}.{name}_ms")
        return spent / now / times if spent else None

    return Trial(now, gflop / now * 1e3, left("bf16"), left("channels_last"), left("both"), left("twice", 2))
