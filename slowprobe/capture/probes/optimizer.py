"""Optimizers: every step of every optimizer, zero_grad, and GradScaler."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial, wraps
from threading import get_ident
from types import FrameType
from typing import Any

from slowprobe.capture.by_identity import ByIdentity
from slowprobe.capture.gradient_use import GradientWatch
from slowprobe.capture.loop_events import LoopEvents
from slowprobe.capture.patches import Patches
from slowprobe.capture.probes.wrapping import like, timed_method
from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.span_key import span_key, subject_of
from slowprobe.capture.subjects import Attributes, Subjects
from slowprobe.capture.subnormals import SubnormalWatch
from slowprobe.run.record import Site

OPTIMIZER, CLOSURE = KIND["optimizer"], KIND["closure"]


class OptimizerProbe:
    """Uses torch's global step hooks; `events` is told of each step after it, outside its span."""

    def __init__(
        self, recorder: Recorder, subjects: Subjects, is_compiling: Callable[[], bool], events: LoopEvents
    ) -> None:
        self._recorder = recorder
        self._subjects = subjects
        self._is_compiling = is_compiling
        self._events = events
        self._keys = ByIdentity[int]()
        self._zero_grad_keys: dict[tuple[str, bool], int] = {}
        self._sites = ByIdentity[Site]()
        self._hooks: list[Any] = []
        self._in_hook = False
        self.made = ByIdentity[bool]()
        """Every optimizer that was made or has stepped since recording began."""
        self.watch: GradientWatch | None = None
        self.subnormals: SubnormalWatch | None = None
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
                self._zero_grad_of,
            )
        scaler = torch.amp.GradScaler
        for name in ("unscale_", "update"):
            patches.replace(
                scaler,
                name,
                lambda original: timed_method(original, recorder, self._scaler, is_compiling),
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
                site = self._subjects.sites.of_caller(_maker(sys._getframe(1), optimizer))
                if site is not None:
                    self._sites.set(optimizer, site)
            except Exception as error:
                self._recorder.fail(error)
            original(optimizer, *args, **kwargs)
            self.made.set(optimizer, True)

        return like(__init__, original)

    def _before(self, optimizer: Any, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        if self._is_compiling() or get_ident() != self._recorder.thread:
            return None
        try:
            key = self._key(optimizer)
            if self.watch is not None and self.watch.active:
                self.watch.step(optimizer)
            if self.subnormals is not None:
                self.subnormals.step(optimizer, subject_of(key))
            self._recorder.open(key)
            if "closure" in kwargs:
                return args, {**kwargs, "closure": self._timed(kwargs["closure"], key)}
            if len(args) > 1:
                return (args[0], self._timed(args[1], key), *args[2:]), kwargs
        except Exception as error:
            self._recorder.fail(error)
        return None

    def _timed(self, closure: Any, optimizer: int) -> Any:
        """A closure with a span around it: what it does besides forward and backward is not the optimizer's."""
        if not callable(closure):
            return closure
        recorder = self._recorder
        key = span_key(CLOSURE, subject_of(optimizer))

        @wraps(closure)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if not recorder.here() or optimizer not in recorder.stack:
                return closure(*args, **kwargs)
            recorder.open(key)
            try:
                return closure(*args, **kwargs)
            finally:
                recorder.close(key)

        return timed

    def _after(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self._is_compiling() or get_ident() != self._recorder.thread:
            return
        key = self._keys.get(optimizer) or 0
        self._recorder.close(key)
        if self._events.listening:
            self._in_hook = True
            self._events.step(subject_of(key))
            self._in_hook = False

    def _key(self, optimizer: Any) -> int:
        key = self._keys.get(optimizer)
        if key is None:
            number = self._subjects.number(
                "optimizer",
                object(),
                type(optimizer).__name__,
                partial(self._describe, optimizer),
                self._sites.get(optimizer),
                depth=2,
            )
            key = span_key(OPTIMIZER, number)
            self._keys.set(optimizer, key)
            self.made.set(optimizer, True)
            self._described[number] = self._latest
        return key

    def _describe(self, optimizer: Any) -> Attributes:
        self._latest = describe(optimizer)
        return self._latest

    def _zero_grad_of(self, original: Callable[..., Any]) -> Callable[..., Any]:
        recorder, is_compiling = self._recorder, self._is_compiling

        def zero_grad(owner: Any, *args: Any, **kwargs: Any) -> Any:
            if is_compiling() or get_ident() != recorder.thread:
                return original(owner, *args, **kwargs)
            key = self._zero_grad(owner, bool(args[0] if args else kwargs.get("set_to_none", True)))
            recorder.open(key)
            try:
                return original(owner, *args, **kwargs)
            finally:
                recorder.close(key)

        return like(zero_grad, original)

    def _zero_grad(self, owner: Any, to_none: bool) -> int:
        if self.watch is not None and self.watch.active:
            self.watch.zero_grad(owner)
        name = type(owner).__name__, to_none
        key = self._zero_grad_keys.get(name)
        if key is None:
            attrs: Attributes = {"class": name[0], "set_to_none": to_none}
            key = span_key(KIND["zero_grad"], self._subjects.number("zero_grad", name, name[0], lambda: attrs, depth=2))
            self._zero_grad_keys[name] = key
        return key

    def _scaler(self, owner: Any) -> int:
        return span_key(KIND["scaler"], self._subjects.number("scaler", "scaler", "GradScaler"))


def _maker(frame: FrameType | None, made: Any) -> FrameType | None:
    """Out of the constructors of the object's own classes: the frame that asked for it."""
    while frame is not None and frame.f_code.co_name == "__init__":
        names = frame.f_code.co_varnames
        if not names or frame.f_locals.get(names[0]) is not made:
            break
        frame = frame.f_back
    return frame


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
