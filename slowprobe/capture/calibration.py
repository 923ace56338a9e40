"""Short experiments on synthetic tensors after the recording: what an edit would cost on this machine.

They run in the recorded process (torch is loaded there), once recording has ended: no user code, no random numbers, no
global setting left changed. Together they are bounded by `BUDGET_S`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

BUDGET_S = 0.6
MAX_ELEMENTS = 2_000_000  # 32 MB with gradients and two moments; larger parameters are stood in for by a part of them
MIN_SHARE = 0.02  # of the run: an optimizer that takes less is not worth an experiment
MAX_TENSORS = 20
_ROUNDS = 7
_FUSED = ("Adam", "AdamW", "SGD", "Adagrad")  # the optimizers with fused=True on the CPU


def calibrate(
    optimizers: dict[int, tuple[dict[str, Any], float]], loaders: dict[int, tuple[int, float]], threads: int, cores: int
) -> dict[str, float]:
    """Run the experiments that this run calls for.

    optimizers: description (as `probes.optimizer.describe` gives it) and share of the run, by subject. loaders: tensors
    in a batch and share of the run spent on waiting, by subject, of loaders without workers. Values:
    ``loader.<subject>.hand_over_ms`` (what the training thread pays for a batch that comes from another process),
    ``optimizer.<subject>.default_ms``, ``.fused_ms`` (one step), ``foreach.loop_ms``, ``foreach.foreach_ms`` (one
    moving-average update of the largest optimizer's parameters), ``anomaly.node_us`` (one autograd node's extra cost
    under detect_anomaly), ``threads.now_ms``, ``threads.all_ms`` (a matmul, with the run's threads and one a core).
    """
    import torch

    deadline = time.perf_counter() + BUDGET_S
    values: dict[str, float] = {}
    for subject, (tensors, share) in loaders.items():
        if share >= MIN_SHARE and tensors and time.perf_counter() < deadline:
            values[f"loader.{subject}.hand_over_ms"] = _hand_over_ms(torch, tensors)
    with torch.no_grad():
        for subject, (described, share) in optimizers.items():
            if share >= MIN_SHARE and _can_fuse(torch, described) and time.perf_counter() < deadline:
                values.update(_optimizer(torch, f"optimizer.{subject}", described))
        largest = max(optimizers.values(), key=lambda entry: entry[0].get("params", 0), default=None)
        if largest is not None and int(largest[0].get("params", 0)) >= 20 and time.perf_counter() < deadline:
            values.update(_foreach(torch, largest[0]))
        if threads != cores and time.perf_counter() < deadline:
            values.update(_threads(torch, threads, cores))
    if torch.is_anomaly_enabled() and time.perf_counter() < deadline:
        values.update(_anomaly(torch))
    return values


def _hand_over_ms(torch: Any, tensors: int) -> float:
    """A batch's way through torch's shared memory: file descriptors sent over sockets, both ends in this process."""
    from multiprocessing import resource_sharer
    from multiprocessing.reduction import ForkingPickler

    import torch.multiprocessing  # makes the pickler know tensors

    ours = resource_sharer._resource_sharer._listener is None  # type: ignore[attr-defined,unused-ignore]
    batch = [torch.zeros(1024, dtype=torch.float32, device="cpu") for _ in range(min(tensors, MAX_TENSORS))]
    try:
        (spent,) = _medians_ms(lambda: ForkingPickler.loads(ForkingPickler.dumps([part.clone() for part in batch])))
    finally:
        if ours:
            resource_sharer.stop(timeout=1)
    return spent * tensors / len(batch)


def _can_fuse(torch: Any, described: dict[str, Any]) -> bool:
    from torch.optim import optimizer

    hooked = bool(optimizer._global_optimizer_pre_hooks or optimizer._global_optimizer_post_hooks)  # the user's own
    return (
        not hooked
        and described.get("class") in _FUSED
        and str(described.get("module", "")).startswith("torch.optim")
        and not described.get("fused")
        and described.get("device") == "cpu"
        and described.get("dtypes") == "torch.float32"
    )


def _tensors(torch: Any, described: dict[str, Any]) -> list[Any]:
    sizes = [int(size) for size in described.get("sizes", ())]
    scale = min(1.0, MAX_ELEMENTS / max(sum(sizes), 1))
    return [torch.full((max(1, int(size * scale)),), 0.5, dtype=torch.float32, device="cpu") for size in sizes]


def _medians_ms(*runs: Callable[[], Any]) -> list[float]:
    """Median milliseconds of each, interleaved, after one warm-up."""
    for run in runs:
        run()
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(_ROUNDS):
        for number, run in enumerate(runs):
            begin = time.perf_counter()
            run()
            times[number].append((time.perf_counter() - begin) * 1000)
    return [statistics.median(each) for each in times]


def _optimizer(torch: Any, prefix: str, described: dict[str, Any]) -> dict[str, float]:
    cls = getattr(torch.optim, str(described["class"]))
    arguments: dict[str, Any] = {"lr": 1e-4}
    if described.get("momentum"):
        arguments["momentum"] = described["momentum"]

    def stepper(**flags: Any) -> Callable[[], Any]:
        params = [torch.nn.Parameter(tensor) for tensor in _tensors(torch, described)]
        for param in params:
            param.grad = torch.full_like(param, 1e-3)
        step: Callable[[], Any] = cls(params, **arguments, **flags).step
        return step

    foreach = described.get("foreach")
    default, fused = _medians_ms(stepper(**({} if foreach is None else {"foreach": foreach})), stepper(fused=True))
    return {f"{prefix}.default_ms": default, f"{prefix}.fused_ms": fused}


def _foreach(torch: Any, described: dict[str, Any]) -> dict[str, float]:
    averages, params = _tensors(torch, described), _tensors(torch, described)

    def loop() -> None:
        for average, param in zip(averages, params, strict=True):
            average.mul_(0.99).add_(param, alpha=0.01)

    together, one_by_one = _medians_ms(lambda: torch._foreach_lerp_(averages, params, 0.01), loop)
    return {"foreach.foreach_ms": together, "foreach.loop_ms": one_by_one, "foreach.tensors": float(len(params))}


def _threads(torch: Any, threads: int, cores: int) -> dict[str, float]:
    left = torch.full((768, 768), 0.5, dtype=torch.float32, device="cpu")

    def with_threads(number: int) -> Callable[[], Any]:
        def run() -> None:
            torch.set_num_threads(number)
            torch.mm(left, left)
            begin = time.perf_counter()
            for _ in range(3):
                torch.mm(left, left)
            spent[number].append(time.perf_counter() - begin)

        return run

    spent: dict[int, list[float]] = {threads: [], cores: []}
    try:
        for _ in range(_ROUNDS):
            with_threads(threads)()
            with_threads(cores)()
    finally:
        torch.set_num_threads(threads)
    now, every = (statistics.median(spent[number]) * 1000 / 3 for number in (threads, cores))
    return {"threads.now_ms": now, "threads.all_ms": every, "threads.now": float(threads), "threads.all": float(cores)}


def _anomaly(torch: Any) -> dict[str, float]:
    weight = torch.full((8, 8), 0.1, dtype=torch.float32, device="cpu", requires_grad=True)
    nodes = 60

    def chain(anomaly: bool) -> Callable[[], Any]:
        def run() -> None:
            with torch.autograd.set_detect_anomaly(anomaly), torch.enable_grad():
                value = weight
                for _ in range(nodes):
                    value = value * 0.99
                torch.autograd.grad(value.sum(), weight)

        return run

    plain, checked = _medians_ms(chain(False), chain(True))
    return {"anomaly.node_us": max(0.0, checked - plain) * 1000 / nodes}
