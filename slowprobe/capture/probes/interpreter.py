"""Garbage collection pauses and torch.compile's compilations, through their own callbacks."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from slowprobe.capture.patches import Patches
from slowprobe.capture.probes.dynamo import hide_from_dynamo
from slowprobe.capture.probes.module import ForwardProbe
from slowprobe.capture.probes.wrapping import like
from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.span_key import span_key
from slowprobe.capture.subjects import Subjects

GC, COMPILE = KIND["gc"], KIND["compile"]


class GcProbe:
    """A span for each collection on the training thread, one subject a generation."""

    def __init__(self, recorder: Recorder, subjects: Subjects) -> None:
        self._recorder = recorder
        self._keys = [
            span_key(
                GC, subjects.number("gc", generation, f"generation {generation}", partial(dict, generation=generation))
            )
            for generation in range(3)
        ]
        self._before = -1

    def attach(self, patches: Patches) -> None:
        """Register with the collector."""
        gc.callbacks.append(self._on_event)

    def detach(self) -> None:
        """Take the callback out again."""
        if self._on_event in gc.callbacks:
            gc.callbacks.remove(self._on_event)

    def _on_event(self, phase: str, info: dict[str, int]) -> None:
        recorder = self._recorder
        if not recorder.here():
            return
        key = self._keys[min(info.get("generation", 0), 2)]
        if phase == "start":
            self._before = recorder.last_key
            recorder.open(key)
        else:
            recorder.close(key)
            recorder.last_key = self._before  # a collection says nothing of where the loop is


class CompileProbe:
    """A span for each compilation, through torch._dynamo's start and end callbacks.

    torch._dynamo is slow to import and is not imported for this: the callbacks are registered when the user's call of
    torch.compile has brought it in.
    """

    def __init__(self, recorder: Recorder, subjects: Subjects, forward: ForwardProbe) -> None:
        self._recorder = recorder
        self._subjects = subjects
        self._forward = forward
        self._registered: Any = None
        self._key = -1

    def attach(self, patches: Patches) -> None:
        """Wrap torch.compile, and register at once where torch._dynamo is there already."""
        import torch

        patches.replace(torch, "compile", self._wrap)
        self._register()

    def detach(self) -> None:
        """Take the callbacks out again."""
        handler = self._registered
        if handler is not None:
            if self._start in handler.start_callbacks:
                handler.remove_start_callback(self._start)
            if self._end in handler.end_callbacks:
                handler.remove_end_callback(self._end)

    def _wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def compile(*args: Any, **kwargs: Any) -> Any:
            if not self._recorder.here():
                return original(*args, **kwargs)
            self._forward.suspend()  # a bound ``__call__`` is kept for good
            try:
                return original(*args, **kwargs)
            finally:
                self._forward.resume()
                self._register()

        return like(compile, original)

    def _register(self) -> None:
        try:
            module = sys.modules.get("torch._dynamo.callback")
            handler = getattr(module, "callback_handler", None)
            if handler is not None and self._start not in handler.start_callbacks:
                hide_from_dynamo()
                handler.register_start_callback(self._start)
                handler.register_end_callback(self._end)
                self._registered = handler
        except Exception as error:
            self._recorder.fail(error)

    def _start(self, arguments: Any) -> None:
        if self._recorder.here():
            try:
                self._forward.suspend()
                self._key = span_key(COMPILE, self._subjects.at_caller("compile", "torch.compile", 1))
                self._recorder.open(self._key)
            except Exception as error:
                self._recorder.fail(error)

    def _end(self, arguments: Any) -> None:
        if self._recorder.here():
            self._recorder.close(self._key)
            self._forward.resume()
