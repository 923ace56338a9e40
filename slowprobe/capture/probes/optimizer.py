"""Optimizers: every step of every optimizer, zero_grad, and GradScaler."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from slowprobe.capture.by_identity import ByIdentity
from slowprobe.capture.patches import Patches
from slowprobe.capture.probes.wrapping import like, timed_method
from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.subjects import Attributes, Subjects
from slowprobe.run.schema import Site

OPTIMIZER, CLOSURE = KIND["optimizer"], KIND["closure"]


class OptimizerProbe:
    """Uses torch's global step hooks; `on_step(subject)` is called after each step, outside its span."""

    def __init__(
        self,
        recorder: Recorder,
        subjects: Subjects,
        is_compiling: Callable[[], bool],
        on_step: Callable[[int], None],
    ) -> None:
        self._recorder = recorder
        self._subjects = subjects
        self._is_compiling = is_compiling
        self._on_step = on_step
        self._numbers = ByIdentity[int]()
        self._sites = ByIdentity[Site]()
        self._hooks: list[Any] = []
        self._in_hook = False
        self._latest: Attributes = {}
        self._described: dict[int, Attributes] = {}

    def attach(self, patches: Patches) -> None:
        """Register the hooks and wrap zero_grad and GradScaler."""
        import torch
        from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

        self._hooks = [
            register_optimizer_step_pre_hook(self._before),
            register_optimizer_step_post_hook(self._after),
        ]
        recorder, is_compiling = self._recorder, self._is_compiling
        patches.replace(torch.optim.Optimizer, "__init__", self._construct)
        for owner in (torch.optim.Optimizer, torch.nn.Module):
            patches.replace(
                owner,
                "zero_grad",
                lambda original: timed_method(original, recorder, "zero_grad", self._zero_grad, is_compiling),
            )
        scaler = torch.amp.GradScaler
        for name in ("unscale_", "update"):
            patches.replace(
                scaler,
                name,
                lambda original: timed_method(original, recorder, "scaler", self._scaler, is_compiling),
            )

    def detach(self) -> None:
        """Remove the hooks."""
        for hook in self._hooks:
            hooks = hook.hooks_dict_ref()
            if self._in_hook and hooks and next(reversed(hooks)) != hook.id:
                continue  # torch is on its way through this dictionary to hooks of others; ours does nothing any more
            hook.remove()
        self._hooks = []

    def described(self) -> dict[int, Attributes]:
        """What the optimizers that stepped were like, by subject."""
        return self._described

    def _construct(self, original: Callable[..., None]) -> Callable[..., None]:
        def __init__(optimizer: Any, *args: Any, **kwargs: Any) -> None:
            try:
                site = self._subjects.sites.of_caller(sys._getframe(1))
                if site is not None:
                    self._sites.set(optimizer, site)
            except Exception as error:
                self._recorder.fail(error)
            original(optimizer, *args, **kwargs)

        return like(__init__, original)

    def _before(self, optimizer: Any, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        if self._is_compiling() or not self._recorder.here():
            return None
        try:
            number = self._number(optimizer)
            self._recorder.open(OPTIMIZER, number)
            if "closure" in kwargs:
                return args, {**kwargs, "closure": self._timed(kwargs["closure"], number)}
            if len(args) > 1:
                return (args[0], self._timed(args[1], number), *args[2:]), kwargs
        except Exception as error:
            self._recorder.fail(error)
        return None

    def _timed(self, closure: Any, number: int) -> Any:
        """A closure with a span around it: what it does besides forward and backward is not the optimizer's."""
        if not callable(closure):
            return closure
        recorder = self._recorder

        @wraps(closure)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if not recorder.here() or not recorder.depth[OPTIMIZER]:
                return closure(*args, **kwargs)
            recorder.open(CLOSURE, number)
            try:
                return closure(*args, **kwargs)
            finally:
                recorder.close(CLOSURE)

        return timed

    def _after(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self._is_compiling() or not self._recorder.here():
            return
        self._recorder.close(OPTIMIZER)
        self._in_hook = True
        self._on_step(self._numbers.get(optimizer) or 0)
        self._in_hook = False

    def _number(self, optimizer: Any) -> int:
        known = self._numbers.get(optimizer)
        if known is None:
            known = self._subjects.number(
                "optimizer",
                object(),
                type(optimizer).__name__,
                partial(self._describe, optimizer),
                self._sites.get(optimizer),
                depth=2,
            )
            self._numbers.set(optimizer, known)
            self._described[known] = self._latest
        return known

    def _describe(self, optimizer: Any) -> Attributes:
        self._latest = describe(optimizer)
        return self._latest

    def _zero_grad(self, owner: Any) -> int:
        name = type(owner).__name__
        return self._subjects.number("zero_grad", name, name)

    def _scaler(self, owner: Any) -> int:
        return self._subjects.number("scaler", "scaler", "GradScaler")


def describe(optimizer: Any) -> Attributes:
    """The size and the implementation flags of an optimizer, of its first group where groups differ."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    first = optimizer.param_groups[0] if optimizer.param_groups else {}
    flags = {name: first.get(name) for name in ("foreach", "fused", "capturable", "differentiable", "lr", "momentum")}
    return {
        "class": type(optimizer).__name__,
        "module": type(optimizer).__module__,
        "params": len(params),
        "elements": sum(param.numel() for param in params),
        "sizes": sorted((param.numel() for param in params), reverse=True)[:2000],
        "dtypes": ",".join(sorted({str(param.dtype) for param in params})),
        "device": ",".join(sorted({param.device.type for param in params})),
        **{name: value for name, value in flags.items() if isinstance(value, (bool, int, float)) or value is None},
    }
