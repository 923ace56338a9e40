"""Steps of optimizers on tensors of the run's sizes: as they are, fused, and one operation on all tensors at once.

The rules of `calibration` hold: synthetic tensors, no user code, no random numbers, nothing left changed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from slowprobe.capture.medians import medians_ms

MAX_ELEMENTS = 2_000_000  # 32 MB with gradients and two moments; larger parameters are stood in for by a part of them
ELEMENTS_PER_S = 20_000_000  # what can be made and stepped a dozen times within its time
MAX_TENSORS = 100  # of an optimizer: some 6 ms for a step of AdamW; the cost of starting operators adds up over tensors
_FUSED = ("Adam", "AdamW", "SGD", "Adagrad")  # the optimizers with fused=True on the CPU


def _can_step(torch: Any, described: dict[str, Any]) -> bool:
    """Whether another optimizer may step here on such parameters: the user's hooks must not see it."""
    from torch.optim import optimizer

    hooked = bool(optimizer._global_optimizer_pre_hooks or optimizer._global_optimizer_post_hooks)
    return not hooked and described.get("device") == "cpu" and described.get("dtypes") == "torch.float32"


def can_fuse(torch: Any, described: dict[str, Any]) -> bool:
    """Whether it is one of torch's that has a fused form, and does not use it."""
    return (
        described.get("class") in _FUSED
        and str(described.get("module", "")).startswith("torch.optim")
        and not described.get("fused")
        and _can_step(torch, described)
    )


def is_own(torch: Any, described: dict[str, Any]) -> bool:
    """Whether it is none of torch's."""
    return not str(described.get("module", "torch")).startswith("torch") and _can_step(torch, described)


def _replica(described: dict[str, Any], until: float) -> tuple[list[int], float]:
    """Sizes of at most MAX_TENSORS tensors that stand for all of them, each for as many, and how many that is."""
    sizes = sorted((int(size) for size in described.get("sizes", ())), reverse=True)
    count = min(len(sizes), MAX_TENSORS)
    groups = [sizes[len(sizes) * i // count : len(sizes) * (i + 1) // count] for i in range(count)]
    means = [statistics.fmean(group) for group in groups]
    most = min(MAX_ELEMENTS, ELEMENTS_PER_S * max(until - time.perf_counter(), 0.0))
    cut = min(1.0, most / max(sum(means), 1))
    return [max(1, round(mean * cut)) for mean in means], len(sizes) / max(count, 1)


def _full(torch: Any, sizes: Sequence[int]) -> list[Any]:
    return [torch.full((size,), 0.5, dtype=torch.float32, device="cpu") for size in sizes]


def fused_twin(torch: Any, prefix: str, described: dict[str, Any], until: float) -> dict[str, float]:
    """A step as it is and fused: ``.default_ms``, ``.fused_ms``."""
    cls = getattr(torch.optim, str(described["class"]))
    arguments: dict[str, Any] = {"lr": 1e-4}
    if described.get("momentum"):
        arguments["momentum"] = described["momentum"]
    sizes, times = _replica(described, until)
    foreach = described.get("foreach")
    now = _stepper(torch, cls, sizes, **arguments, **({} if foreach is None else {"foreach": foreach}))
    with torch.no_grad():
        default, fused = medians_ms(until, now, _stepper(torch, cls, sizes, **arguments, fused=True))
    return {f"{prefix}.default_ms": default * times, f"{prefix}.fused_ms": fused * times}


def fused_adam(torch: Any, prefix: str, described: dict[str, Any], until: float) -> dict[str, float]:
    """A step of torch's, ``.adam_fused_ms``, for an optimizer of the user's own that may do the same."""
    sizes, times = _replica(described, until)
    with torch.no_grad():
        (fused,) = medians_ms(until, _stepper(torch, torch.optim.Adam, sizes, lr=1e-4, fused=True))
    return {f"{prefix}.adam_fused_ms": fused * times}


def _stepper(torch: Any, cls: Any, sizes: Sequence[int], **arguments: Any) -> Callable[[], Any]:
    """The step of an optimizer of parameters of these sizes."""
    params = [torch.nn.Parameter(tensor) for tensor in _full(torch, sizes)]
    for param in params:
        param.grad = torch.full_like(param, 1e-3)
    step: Callable[[], Any] = cls(params, **arguments).step
    return step


def foreach(torch: Any, described: dict[str, Any], until: float) -> dict[str, float]:
    """A moving average of all parameters, one by one and together, and a multiplication of all: ``foreach.*``."""
    sizes, times = _replica(described, until)
    averages, params = _full(torch, sizes), _full(torch, sizes)

    def loop() -> None:
        for average, param in zip(averages, params, strict=True):
            average.mul_(0.99).add_(param, alpha=0.01)

    with torch.no_grad():
        together, one_by_one, scaled = medians_ms(
            until,
            lambda: torch._foreach_lerp_(averages, params, 0.01),
            loop,
            lambda: torch._foreach_mul_(averages, 1.0),  # dearer than lerp: it wraps its number
        )
    return {
        "foreach.foreach_ms": together * times,
        "foreach.loop_ms": one_by_one * times,
        "foreach.mul_ms": scaled * times,
        "foreach.tensors": len(params) * times,
    }
