"""What the dearest products and convolutions of a step reach alone, in bfloat16, channels last and on larger batches.

The same rules as for `calibration` hold: synthetic tensors, no user code, no random numbers, nothing left changed. What
is measured belongs to this run's threads and this machine's load, so it is kept with the run and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from slowprobe.capture.calibration import Experiment
from slowprobe.capture.medians import medians_ms
from slowprobe.run.kernels import Kernel

MIN_SHARE = 0.2  # of the annotated step; with less, nothing that is measured here changes the loop by much
MAX_LAYERS = 4  # the dearest; in most networks they take over half of the products' time
MIN_LAYER = 0.05  # of the products' time
MAX_BUDGET_S, MIN_BUDGET_S = 1.0, 0.4  # four variants of four layers, three times each, of some 10 ms
MAX_RUN_SHARE = 0.02  # of the recording
MAX_ELEMENTS = 8_000_000  # of input, weight and output together; larger ones are cut to a part of their batch
ROUNDS = 3  # that should fit, one of them the warm-up
REACH_SIZE = 768  # square product: 0.9 GFLOP, a few ms on a few cores; larger ones gain some per cent at most
LOW = ("float", "float32")


def budget_s(elapsed_s: float, goes_on: bool) -> float:
    """What all trials may take after a recording of `elapsed_s`; `goes_on`: the training runs on after it."""
    if goes_on:
        return MIN_BUDGET_S / 2
    return min(MAX_BUDGET_S, max(MIN_BUDGET_S, MAX_RUN_SHARE * elapsed_s))


def trials(distinct: list[Kernel], spent_ns: list[int], calls: list[int], bf16: bool) -> list[tuple[float, Experiment]]:
    """Experiments on the dearest layers, the dearest first, with their weights.

    spent_ns, calls: of each distinct kernel in the annotated step. bf16: the CPU has instructions for it. Values:
    ``kernel.<number>.now_ms``, ``.bf16_ms``, ``.channels_last_ms``, ``.both_ms``, ``.twice_ms`` (forward and backward
    of the layer whose first kernel is that number; the last on a batch of twice the size), ``.gflop`` (of the first),
    ``reach.gflops`` (a large matrix product).
    """
    import torch

    layers: dict[str, list[int]] = {}
    for number, kernel in enumerate(distinct):
        if kernel.dtype in (*LOW, "c10::BFloat16") and not kernel.transposed and len(kernel.left) in (2, 3, 4, 5):
            layers.setdefault(kernel.layer, []).append(number)
    spent = {numbers[0]: sum(spent_ns[n] for n in numbers) / sum(spent_ns) for numbers in layers.values()}
    dearest = sorted(layers.values(), key=lambda numbers: -spent[numbers[0]])[:MAX_LAYERS]
    found: list[tuple[float, Experiment]] = []
    for numbers in dearest:
        first = numbers[0]
        if spent[first] >= MIN_LAYER:
            once_s = sum(spent_ns[n] for n in numbers) / max(1, calls[first]) / 1e9
            layer = Layer(first, distinct[first], once_s, any(distinct[n].products == 1 for n in numbers[1:]))
            found.append((spent[first], partial(_layer, torch, layer, bf16)))
    low = bool(dearest) and distinct[dearest[0][0]].dtype not in LOW
    return [*found, (MIN_LAYER, partial(_reach, torch, low))] if found else []


def run_trials(experiments: list[tuple[float, Experiment]], budget: float) -> dict[str, float]:
    """As many as fit in about `budget` seconds, which they share by weight; the first and the last in any case."""
    deadline = time.perf_counter() + budget
    values: dict[str, float] = {}
    for at, (weight, experiment) in enumerate(experiments):
        now = time.perf_counter()
        if now >= deadline and 0 < at < len(experiments) - 1:  # the dearest, and what the machine can, in any case
            continue
        values.update(experiment(now + (deadline - now) * weight / sum(each for each, _ in experiments[at:])))
    return values


def _reach(torch: Any, low: bool, until: float) -> dict[str, float]:
    """A large product in the precision of the dearest layer."""
    dtype = torch.bfloat16 if low else torch.float32
    left = torch.full((REACH_SIZE, REACH_SIZE), 0.5, dtype=dtype, device="cpu")
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        (spent,) = medians_ms(until, lambda: torch.mm(left, left))
    return {"reach.gflops": 2 * REACH_SIZE**3 / spent / 1e6}


@dataclass(frozen=True)
class Layer:
    """One layer of the loop: its forward kernel stands for it."""

    number: int
    kernel: Kernel
    once_s: float
    """Forward and backward in the annotated step."""
    first: bool
    """Nothing before it is trained: its input needs no gradient."""


def _layer(torch: Any, layer: Layer, bf16: bool, until: float) -> dict[str, float]:
    """Forward and backward of one layer as the loop runs it, and with each edit."""
    kernel = layer.kernel
    low = bf16 and kernel.dtype in LOW
    turns = kernel.is_convolution and len(kernel.left) == 4 and not kernel.channels_last
    count = 1 + low + turns + (low and turns)
    rounds = max(0.0, until - time.perf_counter()) / (ROUNDS * max(layer.once_s, 1e-9))
    batch, cut = _cut(kernel, min(1.0, rounds / count))
    prepare = partial(_prepared, torch, layer)
    runs = {"now": prepare(batch)}
    if low:
        runs["bf16"] = prepare(batch, bf16=True)
    if turns:
        runs["channels_last"] = prepare(batch, turned=True)
    if low and turns:
        runs["both"] = prepare(batch, bf16=True, turned=True)
    if not cut and rounds >= count + 2:  # twice the batch takes as long as two
        runs["twice"] = prepare(2 * batch)
    with torch.inference_mode(False), torch.enable_grad():
        spent = medians_ms(until, *runs.values())
    flops = kernel.flops / kernel.products * batch / _batch(kernel) * (2 if layer.first else 3)
    values = {f"kernel.{layer.number}.{name}_ms": ms for name, ms in zip(runs, spent, strict=True)}
    return {**values, f"kernel.{layer.number}.gflop": flops / 1e9}


def _batch(kernel: Kernel) -> int:
    return max(1, kernel.left[0])


def _cut(kernel: Kernel, part: float) -> tuple[int, bool]:
    """The batch that fits into `part` of the time of the whole, and into memory; whether that is a smaller one."""
    elements = sum(map(_size, (kernel.left, kernel.right))) * 2
    part = min(part, MAX_ELEMENTS / max(elements, 1))
    batch = max(1, int(_batch(kernel) * part))
    return batch, batch < _batch(kernel)


def _size(dims: list[int]) -> int:
    size = 1
    for each in dims:
        size *= each
    return size


def _prepared(torch: Any, layer: Layer, batch: int, bf16: bool = False, turned: bool = False) -> Callable[[], Any]:
    """One forward and backward pass, as a function."""
    kernel = layer.kernel
    dtype = torch.bfloat16 if kernel.dtype == "c10::BFloat16" else torch.float32
    as_now = torch.channels_last if turned or kernel.channels_last else torch.contiguous_format

    def full(dims: list[int], value: float) -> Any:
        made = torch.full(dims, value, dtype=dtype, device="cpu")
        return made.to(memory_format=as_now) if made.dim() == 4 and kernel.is_convolution else made

    left, right = full([batch, *kernel.left[1:]], 0.5), full([*kernel.right], 0.01)
    converts = turned and layer.first  # a batch comes as it came before
    if converts:
        left = left.contiguous()
    if len(kernel.left) == 3 and not kernel.is_convolution:
        right = full([batch, *kernel.right[1:]], 0.01)
    factors = [right.requires_grad_()] if layer.first else [left.requires_grad_(), right.requires_grad_()]

    def forward() -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            if not kernel.is_convolution:
                return torch.matmul(left, right)
            return torch.convolution(
                left.to(memory_format=as_now) if converts else left,
                right,
                None,
                kernel.stride,
                kernel.padding,
                kernel.dilation,
                False,
                [0],
                kernel.groups,
            )

    grad = torch.full_like(forward().detach(), 0.5)
    return lambda: torch.autograd.grad(forward(), factors, grad)
