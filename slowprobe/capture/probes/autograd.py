"""Backward passes: every call that reaches torch.autograd."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any

from slowprobe.capture.gradient_use import GradientWatch
from slowprobe.capture.patches import Patches
from slowprobe.capture.probes.wrapping import like
from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.replicas import ReplicaWatch
from slowprobe.capture.span_key import span_key, subject_of
from slowprobe.capture.subjects import Subjects

BACKWARD = KIND["backward"]


class BackwardProbe:
    """Wraps torch.autograd.backward (which Tensor.backward calls) and torch.autograd.grad; one subject a user line.

    `on_backward()` is called after each outermost backward pass, outside its span; `adopt()` before one on a thread
    that is not recorded: it answers whether it is to be recorded from now on.
    """

    def __init__(
        self,
        recorder: Recorder,
        subjects: Subjects,
        is_compiling: Callable[[], bool],
        on_backward: Callable[[], None],
        adopt: Callable[[], bool],
        watch: GradientWatch | None = None,
        replicas: ReplicaWatch | None = None,
    ) -> None:
        self._recorder = recorder
        self._subjects = subjects
        self._is_compiling = is_compiling
        self._on_backward = on_backward
        self._adopt = adopt
        self._watch = watch
        self._replicas = replicas

    def attach(self, patches: Patches) -> None:
        """Wrap both functions."""
        import torch

        patches.replace(torch.autograd, "backward", self._wrap("backward"))
        patches.replace(torch.autograd, "grad", self._wrap("autograd.grad"))

    def _wrap(self, api: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        recorder, subjects, is_compiling = self._recorder, self._subjects, self._is_compiling
        adopt, on_backward, watch = self._adopt, self._on_backward, self._watch
        watched, replicas = (watch, self._replicas) if api == "backward" else (None, None)

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                if is_compiling() or not (get_ident() == recorder.thread or adopt()) or recorder.inside(BACKWARD):
                    return original(*args, **kwargs)
                key = span_key(BACKWARD, subjects.at_caller("backward", api, 1))
                if watched is not None and watched.active:
                    watched.backward(args, kwargs, subject_of(key))
                if replicas is not None and replicas.models:
                    replicas.backward()
                recorder.open(key)
                try:
                    result = original(*args, **kwargs)
                finally:
                    recorder.close(key)
                on_backward()
                return result

            return like(wrapper, original)

        return make
