"""Numbers too small for the processor's fast path, in the weights, gradients and state of optimizers.

Now and then (at steps 32, 48, 72, …: the cost does not add up) a sample of each optimizer's tensors is read where they
lie. Where subnormal numbers are found, the sample is kept, and stepped again after the run: as it is, and with
subnormal numbers flushed to zero.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from slowprobe.capture.medians import medians_ms
from slowprobe.capture.recorder import Recorder

FIRST_STEP = 32  # before, state is still filling
GROWTH = 1.5  # from one reading to the next: the last of a run lies in its last third
MAX_TENSORS = 100  # of an optimizer
MAX_ELEMENTS = 1 << 18  # of an optimizer, in each role: some 1 ms a role
MIN_SHARE = 0.001  # of the elements of any role: fewer cost nothing
ROWS = 64  # of the input by which a weight is multiplied
MAX_SIDE = 512  # of a weight, in the product that stands for the layer
# The bits of exponent and fraction, by the size of a number; a subnormal one has none of the first, some of the second.
EXPONENT = {4: 0x7F800000, 8: 0x7FF0000000000000}
FRACTION = {4: 0x007FFFFF, 8: 0x000FFFFFFFFFFFFF}

Sample = tuple[dict[str, Any], list[dict[str, Any]]]
"""Settings of a parameter group, and the parts of its tensors by role."""


class Reading:
    """What was seen of one optimizer: shares of subnormal elements by role, and where there are some, the samples."""

    def __init__(self, optimizer: Any) -> None:
        self.shares: dict[str, float] = {}
        self.samples: list[Sample] = []
        self.kind = type(optimizer)
        self.weight: Any = None
        self.weights_with: float = 0.0
        """Of all elements, those of weights in which there are some."""
        self.first_step = self.step_before = 0
        """Readings at which they were first seen, and the one before."""

    @property
    def found(self) -> bool:
        """Whether there are enough to matter."""
        return any(share >= MIN_SHARE for share in self.shares.values())


class SubnormalWatch:
    """Told of each optimizer step before it; what it does is inside spans of slowprobe's own (`key`)."""

    def __init__(self, recorder: Recorder, key: int) -> None:
        self._recorder = recorder
        self._key = key
        self._steps: dict[int, int] = {}
        self._next: dict[int, float] = {}
        self._before: dict[int, int] = {}
        self.readings: dict[int, Reading] = {}
        self.flushing = False
        """The training thread flushes subnormal numbers already."""
        self._off = False

    def step(self, optimizer: Any, subject: int) -> None:
        """An optimizer is about to step."""
        count = self._steps[subject] = self._steps.get(subject, 0) + 1
        if count < self._next.get(subject, FIRST_STEP) or self._off:
            return
        if _profiling():
            return  # what is read would be among the step's operators: at the next step, then
        self._next[subject] = count * GROWTH
        self._recorder.open(self._key)
        try:
            self._read(optimizer, subject, count)
        except Exception:  # a tensor or an optimizer unlike torch's own: then this is not known
            self._off = True
        finally:
            self._recorder.close(self._key)

    def _read(self, optimizer: Any, subject: int, step: int) -> None:
        import torch

        reading = Reading(optimizer)
        earlier = self.readings.get(subject)
        counts: dict[str, list[int]] = {}
        weights = [0, 0]
        groups = [(group, list(_parts(torch, optimizer, group))) for group in optimizer.param_groups]
        for _, tensors in groups:
            for parts in tensors:
                for role, part in parts.items():
                    if not part.dim():
                        continue
                    found = subnormal(torch, part)
                    row = counts.setdefault(role.partition(".")[0], [0, 0])
                    row[0] += found
                    row[1] += part.numel()
                    if role == "weights":
                        weights[0] += part.numel() if found >= MIN_SHARE * part.numel() else 0
                        weights[1] += part.numel()
        reading.shares = {role: some / max(every, 1) for role, (some, every) in counts.items()}
        reading.weights_with = weights[0] / max(weights[1], 1)
        self.flushing = flushes(torch)
        if reading.found:
            was = earlier is not None and earlier.found
            reading.first_step = earlier.first_step if earlier is not None and was else step
            reading.step_before = earlier.step_before if earlier is not None and was else self._before.get(subject, 0)
            reading.samples = [
                (
                    {name: value for name, value in group.items() if name != "params"},
                    [{role: part.clone() for role, part in parts.items()} for parts in tensors],
                )
                for group, tensors in groups
            ]
            reading.weight = _weight(torch, optimizer)
        self.readings[subject] = reading
        self._before[subject] = step

    def values(self, budget_s: float) -> dict[str, float]:
        """What was seen, and what stepping it takes as it is and flushed, as a `Calibration` holds it."""
        import torch

        values: dict[str, float] = {"subnormal.flushing": float(self.flushing)} if self.readings else {}
        found = {subject: reading for subject, reading in self.readings.items() if reading.found}
        for subject, reading in self.readings.items():
            prefix = f"subnormal.{subject}"
            values.update({f"{prefix}.{role}": share for role, share in reading.shares.items()})
            values[f"{prefix}.read_at"] = float(self._before[subject])
        for subject, reading in found.items():
            prefix = f"subnormal.{subject}"
            values[f"{prefix}.since"] = (reading.first_step + reading.step_before) / 2
            values[f"{prefix}.none_until"] = float(reading.step_before)
            values[f"{prefix}.weights_with"] = reading.weights_with
            try:
                values.update(_trial(torch, reading, prefix, budget_s / len(found)))
            except Exception:  # an optimizer that cannot be made again from its settings
                continue
        return values


def _profiling() -> bool:
    import torch

    return bool(torch._C._autograd._profiler_enabled())


def subnormal(torch: Any, part: Any) -> int:
    """How many elements are subnormal, by their bits: arithmetic may not tell them from zero."""
    size = part.element_size()
    bits = part.contiguous().view(torch.int32 if size == 4 else torch.int64)
    return int((((bits & EXPONENT[size]) == 0) & ((bits & FRACTION[size]) != 0)).sum())


def flushes(torch: Any) -> bool:
    """Whether this thread flushes subnormal numbers to zero."""
    tiny = torch.full((1,), 1, dtype=torch.int32).view(torch.float32)
    return int((tiny * 1.0).view(torch.int32)) == 0


def _parts(torch: Any, optimizer: Any, group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Evenly spaced elements of some parameters, with the same of their gradients and state."""
    known = (torch.float32, torch.float64)
    mine = [
        param
        for param in group["params"]
        if param.grad is not None
        and param.device.type == "cpu"
        and param.dtype in known
        and param.grad.layout is torch.strided
        and param.is_contiguous()
    ]
    mine = mine[:: max(1, -(-len(mine) // MAX_TENSORS))]
    most = max(1, MAX_ELEMENTS // max(len(mine) * len(optimizer.param_groups), 1))
    for param in mine:
        every = max(1, -(-param.numel() // most))

        def part(tensor: Any, every: int = every) -> Any:
            return tensor.detach().reshape(-1)[::every]

        parts = {"weights": part(param), "gradients": part(param.grad)}
        for name, value in optimizer.state.get(param, {}).items():
            if isinstance(value, torch.Tensor) and value.shape == param.shape and value.dtype in known:
                parts[f"state.{name}"] = part(value)
            elif isinstance(value, torch.Tensor) and not value.dim():
                parts[f"state.{name}"] = value
        yield parts


def _weight(torch: Any, optimizer: Any) -> Any:
    """A piece of the largest matrix that holds subnormal numbers; None where none does."""
    best, size = None, 0
    for group in optimizer.param_groups:
        for param in group["params"]:
            if param.dim() < 2 or param.numel() <= size or param.device.type != "cpu" or param.dtype != torch.float32:
                continue
            piece = param.detach().reshape(param.shape[0], -1)[:MAX_SIDE, :MAX_SIDE]
            if subnormal(torch, piece) >= MIN_SHARE * piece.numel():
                best, size = piece, param.numel()
    return None if best is None else best.clone()


def _trial(torch: Any, reading: Reading, prefix: str, budget_s: float) -> dict[str, float]:
    """A step over the samples, and a product with a weight: as they are, and with subnormal numbers gone."""
    was = flushes(torch)
    values: dict[str, float] = {}

    def alone(run: Callable[[], Any], flush: bool) -> Callable[[], Any]:
        def timed() -> Any:
            torch.set_flush_denormal(flush)
            run()

        return timed

    until = time.perf_counter() + budget_s
    try:
        with torch.no_grad():
            if reading.kind.__module__.startswith("torch.optim"):
                now = alone(_stepper(torch, reading, flushed=False), False)
                then = alone(_stepper(torch, reading, flushed=True), True)
                values[f"{prefix}.now_ms"], values[f"{prefix}.flushed_ms"] = medians_ms(until, now, then)
            if reading.weight is not None:
                weight, rows = reading.weight, torch.full((ROWS, reading.weight.shape[1]), 0.5, dtype=torch.float32)
                clean = _zeroed(torch, weight)
                now = alone(lambda: torch.mm(rows, weight.t()), False)
                then = alone(lambda: torch.mm(rows, clean.t()), True)
                ms = medians_ms(until, now, then)
                values[f"{prefix}.product_now_ms"], values[f"{prefix}.product_flushed_ms"] = ms
    finally:
        torch.set_flush_denormal(was)
    return values


def _zeroed(torch: Any, part: Any) -> Any:
    tiny = torch.finfo(part.dtype).tiny
    return torch.where(part.abs() < tiny, torch.zeros_like(part), part)


def _stepper(torch: Any, reading: Reading, flushed: bool) -> Callable[[], Any]:
    """The step of an optimizer of the same class and settings over a copy of the samples."""

    def copy(part: Any) -> Any:
        return _zeroed(torch, part) if flushed and part.dim() else part.clone()

    groups, states = [], []
    for settings, tensors in reading.samples:
        params = []
        for parts in tensors:
            param = torch.nn.Parameter(copy(parts["weights"]))
            param.grad = copy(parts["gradients"])
            params.append(param)
            states.append((param, {role[6:]: copy(part) for role, part in parts.items() if role.startswith("state.")}))
        if params:
            groups.append({**settings, "params": params})
    first = reading.samples[0][0]
    made = reading.kind(groups, lr=float(first["lr"]))
    for param, state in states:
        made.state[param].update(state)
    step: Callable[[], Any] = made.step
    return step
