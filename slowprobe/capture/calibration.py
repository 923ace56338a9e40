"""Short experiments on synthetic tensors after the recording: what an edit would cost on this machine.

They run in the recorded process (torch is loaded there), once recording has ended: no user code, no random numbers, no
global setting left changed. The script waits meanwhile, so they share `budget_s` and work on replicas: as many rounds
as fit, at least one, on few tensors, and the result is scaled to all of them.
"""

from __future__ import annotations

import linecache
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from slowprobe.capture.medians import ROUNDS, medians_ms
from slowprobe.capture.memory_trials import fresh_memory, fresh_pages, is_glibc
from slowprobe.capture.optimizer_trials import can_fuse, foreach, fused_adam, fused_twin, is_own

MAX_BUDGET_S = 0.3
MIN_BUDGET_S = 0.1  # what a few rounds of everything need on a quiet machine; also the limit inside a running training
MAX_RUN_SHARE = 0.01  # of the recording
MIN_SHARE = 0.02  # of the run: an optimizer that takes less is not worth an experiment
MAX_BATCH_TENSORS = 8
LEAST_ROUNDS = 3  # of a product on either number of threads, however little time is left: some 50 ms each
DEEPER = 10  # frames: a module within a module within a third

Experiment = Callable[[float], dict[str, float]]
"""Takes the time at which it should be over."""


def budget_s(elapsed_s: float, goes_on: bool) -> float:
    """What all experiments may take after a recording of `elapsed_s`; `goes_on`: the training runs on after it."""
    longest = MIN_BUDGET_S if goes_on else MAX_BUDGET_S
    return min(longest, max(MIN_BUDGET_S, MAX_RUN_SHARE * elapsed_s))


def calibrate(
    optimizers: dict[int, tuple[dict[str, Any], float]],
    loaders: dict[int, tuple[int, float]],
    threads: int,
    cores: int,
    budget: float = MAX_BUDGET_S,
    pages: bool = False,
    fresh: bool = False,
    anomaly: bool = False,
) -> dict[str, float]:
    """Run the experiments that this run calls for, in about `budget` seconds.

    pages: whether page faults of forward passes were counted. fresh: whether steps touch new memory often enough for
    its price to matter. anomaly: whether backward passes looked for anomalies. optimizers: description (as
    `probes.optimizer.describe` gives it) and share of the run, by subject. loaders: tensors in a batch and share of the
    run spent on waiting, by subject, of loaders without workers. Values:
    ``loader.<subject>.hand_over_ms`` (what the training thread pays for a batch that comes from another process),
    ``optimizer.<subject>.default_ms``, ``.fused_ms`` (one step), of one of the user's own ``.adam_fused_ms`` (a step of
    torch's), ``foreach.loop_ms``, ``foreach.foreach_ms`` (one moving-average update of the largest optimizer's
    parameters), ``foreach.mul_ms`` (one multiplication of them),
    ``anomaly.node_us`` (one autograd node's extra cost under detect_anomaly), of it ``anomaly.traceback_us`` at
    ``anomaly.frames`` on the stack from ``anomaly.files``, ``.frame_us`` and ``.file_us`` (one more), ``page_us`` (the
    first write to a page of memory), ``memory.fault_us`` (a page fault of operators whose result is new memory),
    ``threads.now_ms``, ``threads.all_ms`` (a matmul, with the run's threads and one a core).
    """
    import torch

    deadline = time.perf_counter() + budget
    values: dict[str, float] = {}
    waiting = _called_for(torch, optimizers, loaders, threads, cores, pages, fresh, anomaly)
    while waiting and (now := time.perf_counter()) < deadline:
        values.update(waiting[0](now + (deadline - now) / len(waiting)))
        del waiting[0]
    return values


def _called_for(
    torch: Any,
    optimizers: dict[int, tuple[dict[str, Any], float]],
    loaders: dict[int, tuple[int, float]],
    threads: int,
    cores: int,
    pages: bool,
    fresh: bool,
    anomaly: bool,
) -> list[Experiment]:
    """The experiments, those for the largest shares of the run first."""
    shared: list[tuple[float, Experiment]] = [
        (share, partial(_hand_over, torch, f"loader.{subject}", tensors))
        for subject, (tensors, share) in loaders.items()
        if share >= MIN_SHARE and tensors
    ]
    shared += [
        (share, partial(fused_twin, torch, f"optimizer.{subject}", described))
        for subject, (described, share) in optimizers.items()
        if share >= MIN_SHARE and can_fuse(torch, described)
    ]
    shared += [
        (share, partial(fused_adam, torch, f"optimizer.{subject}", described))
        for subject, (described, share) in optimizers.items()
        if share >= MIN_SHARE and is_own(torch, described)
    ]
    found = [experiment for _, experiment in sorted(shared, key=lambda entry: -entry[0])]
    if threads != cores:  # all of the run's operators
        found.insert(0, partial(_threads, torch, threads, cores))
    if pages or any(share >= MIN_SHARE for _, share in loaders.values()):
        found.append(fresh_pages)
    if fresh and is_glibc():
        found.append(partial(fresh_memory, torch))
    if anomaly:
        found.append(partial(_anomaly, torch))
    largest = max(optimizers.values(), key=lambda entry: entry[0].get("params", 0), default=None)
    if largest is not None and int(largest[0].get("params", 0)) >= 20:
        found.append(partial(foreach, torch, largest[0]))
    return found


def _hand_over(torch: Any, prefix: str, tensors: int, until: float) -> dict[str, float]:
    """A batch's way through torch's shared memory: file descriptors sent over sockets, both ends in this process."""
    from multiprocessing import resource_sharer
    from multiprocessing.reduction import ForkingPickler

    import torch.multiprocessing  # makes the pickler know tensors

    ours = resource_sharer._resource_sharer._listener is None  # type: ignore[attr-defined,unused-ignore]
    batch = [torch.zeros(1024, dtype=torch.float32, device="cpu") for _ in range(min(tensors, MAX_BATCH_TENSORS))]
    try:
        (spent,) = medians_ms(
            until, lambda: ForkingPickler.loads(ForkingPickler.dumps([part.clone() for part in batch]))
        )
    finally:
        if ours:
            resource_sharer.stop(timeout=MIN_BUDGET_S)
    return {f"{prefix}.hand_over_ms": spent * tensors / len(batch)}


def _threads(torch: Any, threads: int, cores: int, until: float) -> dict[str, float]:
    left = torch.full((512, 512), 0.5, dtype=torch.float32, device="cpu")
    spent: dict[int, list[float]] = {threads: [], cores: []}
    try:
        # The quickest counts: what else the end of a run brings (a trace is written) takes a core from both.
        while len(spent[cores]) < LEAST_ROUNDS or (len(spent[cores]) < ROUNDS and time.perf_counter() < until):
            for number in (threads, cores):
                torch.set_num_threads(number)
                torch.mm(left, left)
                begin = time.perf_counter()
                torch.mm(left, left)
                torch.mm(left, left)
                spent[number].append(time.perf_counter() - begin)
    finally:
        torch.set_num_threads(threads)
    now, every = (min(spent[number]) * 1000 / 2 for number in (threads, cores))
    return {"threads.now_ms": now, "threads.all_ms": every, "threads.now": float(threads), "threads.all": float(cores)}


def _anomaly(torch: Any, until: float) -> dict[str, float]:
    """A node's traceback, for the stack here and for a deeper one; what a look at another file of it takes."""
    weight = torch.full((8, 8), 0.1, dtype=torch.float32, device="cpu", requires_grad=True)
    nodes = 60
    seen: list[str] = []

    def run(depth: int, **how: bool) -> None:
        if depth:
            run(depth - 1, **how)
            return
        seen[:] = _files_on_stack()
        with torch.autograd.set_detect_anomaly(**how), torch.enable_grad():
            value = weight
            for _ in range(nodes):
                value = value * 0.99
            torch.autograd.grad(value.sum(), weight)

    plain, checked, made, deeper = medians_ms(
        until,
        lambda: run(0, mode=False),
        lambda: run(0, mode=True),
        lambda: run(0, mode=True, check_nan=False),
        lambda: run(DEEPER, mode=True, check_nan=False),
    )
    linecache.getline(str(torch.__file__), 1)

    def look() -> None:
        for _ in range(nodes):
            linecache.checkcache(str(torch.__file__))

    (looks,) = medians_ms(until, look)
    return {
        "anomaly.node_us": max(0.0, checked - plain) * 1000 / nodes,
        "anomaly.traceback_us": max(0.0, made - plain) * 1000 / nodes,
        "anomaly.frame_us": max(0.0, deeper - made) * 1000 / nodes / DEEPER,
        "anomaly.file_us": looks * 1000 / nodes,
        "anomaly.frames": float(len(seen) - DEEPER),
        "anomaly.files": float(len(set(seen))),
    }


def _files_on_stack() -> list[str]:
    """The file of each frame above the caller of this, itself included."""
    frame = sys._getframe(1)
    files = []
    while frame is not None:
        files.append(frame.f_code.co_filename)
        frame = frame.f_back  # type: ignore[assignment]
    return files
