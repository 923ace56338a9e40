"""What precision and layout leave of a loop's matrix products and convolutions, from trials after the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.rules._step_seconds import step_seconds
from slowprobe.timeline.kernel_work import KernelWork, Layer, Trial
from slowprobe.timeline.loop_changes import Change, Factor, Scale, as_measured
from slowprobe.timeline.tried_edits import tried_edit

MIN_SHARE = 0.30  # of a step; with less, conversions between the layers eat the gain
MIN_GAIN = 0.15  # of the products' time; trials are a few rounds each, and less is their noise
MIN_TRIED = 0.5  # of the products' time must belong to layers that were tried
ALONE = 0.05  # a second edit must take this much of the time away beyond the first
SPREAD = 0.25  # trials run with warm caches, without what lies between the layers
SIXTEEN = ("c10::BFloat16", "c10::Half", "bfloat16", "half")


@dataclass(frozen=True)
class Edits:
    """What is left of the tried layers' time under each edit, and which edits pay."""

    bf16: float
    channels_last: float
    both: float

    @property
    def words(self) -> str:
        """What the trials said."""
        return (
            f"tried after the run, of the products' time bfloat16 leaves {self.bf16:.0%}, channels_last "
            f"{self.channels_last:.0%}, both {self.both:.0%}"
        )

    @cached_property
    def factors(self) -> dict[str, float]:
        """The edits that pay and what each leaves, so that together they leave what was measured for both."""
        singles = {"bf16": self.bf16, "channels_last": self.channels_last}
        first = min(singles, key=lambda name: singles[name])
        alone = min(1.0, singles[first])
        second = next(name for name in singles if name != first)
        found = {first: alone} if alone <= 1 - MIN_GAIN else {}
        if self.both <= alone - ALONE and self.both <= 1 - MIN_GAIN:
            found = {first: alone, second: min(1.0, self.both / alone)}
        return found


def edits(work: KernelWork, costs: Mapping[str, float]) -> Edits:
    """Weighted by the time of the layers in the loop; a layer that an edit does not concern stays as it is.

    What operators between the convolutions (activations, pools, norms) take more in channels_last counts, too; not what
    they gain: a pool's tensors are in the caches in its trial, and in the loop they often are not.
    """
    tried = [(layer.ms, layer.trial) for layer in work.layers if layer.trial is not None]
    total = sum(ms for ms, _ in tried)

    def mean(left: Any) -> float:
        return sum(ms * left(trial) for ms, trial in tried) / total if total else 1.0

    def of(value: float | None, other: float | None = None) -> float:
        return next((each for each in (value, other) if each is not None), 1.0)

    def both(trial: Trial) -> float:
        return of(trial.both, trial.bf16) if trial.channels_last is None or trial.both is not None else of(trial.bf16)

    beside = between(costs) * mean(lambda t: t.channels_last is not None)
    return Edits(mean(lambda t: of(t.bf16)), mean(lambda t: of(t.channels_last)) + beside, mean(both) + beside)


def between(costs: Mapping[str, float]) -> float:
    """What operators between convolutions take more in channels_last, of the convolutions' time; 0 where not tried."""
    tried, beside_ms = tried_edit(costs, "turned"), costs.get("operators.turned.beside_ms")
    if tried is None or not beside_ms:
        return 0.0
    return max(0.0, costs["operators.turned.all_ms"] / beside_ms * (tried.left - 1))


def changes(run: Evidence, layers: list[Layer], left: float) -> list[Change]:
    """The layers' time in the loop, of which `left` is measured to remain where they were tried.

    What was not tried is taken to gain half as much, or as much, or nothing.
    """
    tried = as_measured(left, SPREAD)
    untried = Factor(left, (1 + left) / 2, 1.0)
    made: list[Change] = []
    for factor, mine in (
        (tried, [layer for layer in layers if layer.trial is not None]),
        (untried, [layer for layer in layers if layer.trial is None]),
    ):
        made += [Scale(bucket, "step", seconds, factor) for bucket, seconds in _spent_s(run, mine).items()]
    return made


def _spent_s(run: Evidence, layers: list[Layer]) -> dict[str, float]:
    forward_ms, backward_ms = sum(layer.forward_ms for layer in layers), sum(layer.backward_ms for layer in layers)
    return step_seconds(run, run.kernels.step_ms, forward_ms, backward_ms) if run.kernels is not None else {}


def shape(layer: Layer) -> str:
    """A layer in words: 32×64×28×28 by 128×64×3×3."""
    kernel = layer.kernel
    return f"{'×'.join(map(str, kernel.left))} by {'×'.join(map(str, kernel.right))}"


def table(work: KernelWork) -> dict[str, Any]:
    """The dearest layers with what each edit leaves of them."""

    def left(value: float | None) -> float | str:
        return "not tried" if value is None else round(value, 3)

    rows = []
    for layer in work.layers[:8]:
        trial = layer.trial
        tried = (trial.bf16, trial.channels_last, trial.both) if trial is not None else (None,) * 3
        kind = "convolution" if layer.kernel.is_convolution else "product"
        rows.append([f"{kind} {shape(layer)}", round(layer.ms, 3), round(layer.gflops, 1), *map(left, tried)])
    columns = ["layer", "ms a step", "GFLOP/s", "bfloat16 leaves", "channels_last leaves", "both leave"]
    return {"columns": columns, "rows": rows}
