"""Forward passes of the outermost modules.

Which modules those are is learned: for a few batches every nn.Module call is looked at, then only the classes that were
seen outermost stay wrapped. Instance hooks would travel with a pickled or copied model, and global hooks make
torch.compile warn and recompile; a class attribute does neither. What an evaluation calls need not be called in
training (a part of the model, from a method of the user's): it is learned anew when a model is put in eval mode.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from threading import get_ident
from typing import Any

from slowprobe.capture.machine import minor_faults
from slowprobe.capture.patches import Patches
from slowprobe.capture.probes.wrapping import like
from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.span_key import span_key, subject_of
from slowprobe.capture.subjects import Attributes, Subjects

FORWARD = KIND["forward"]
_EVALUATED = (False, True)  # not training, with gradients
LEARNING_REQUESTS = 4  # batches looked at after the start and after each new pass over a loader
LEARNING_EVALUATIONS = 3  # of the first; one may be a sanity check


class ForwardProbe:
    """Wraps ``__call__`` of nn.Module while learning, then of the classes found outermost."""

    def __init__(self, recorder: Recorder, subjects: Subjects, is_compiling: Callable[[], bool]) -> None:
        self._recorder = recorder
        self._subjects = subjects
        self._is_compiling = is_compiling
        self._patches: Patches | None = None
        self._module: Any = None
        self.learning = False
        self._suspended = False
        self._left = 0
        self._evaluations = LEARNING_EVALUATIONS
        self.listen: Callable[[], None] = lambda: None
        """Called when it begins to learn again: `on_request` must be called then."""
        self._classes: set[type] = set()
        self._keys: dict[int, tuple[weakref.ref[Any], dict[tuple[bool, bool], int]]] = {}
        self.look: Callable[[int, Any], bool] | None = None
        """Called with the subject and the arguments of what trains, until it answers that it has seen enough."""
        self.inside = False
        """Whether the recorded thread is in a forward pass: modules called now are not outermost."""
        self.page_faults: dict[int, int] = {}
        """Of passes with gradients in eval mode, by key: a graph that is kept needs memory that was not in use."""

    def attach(self, patches: Patches) -> None:
        """Begin to learn."""
        import torch

        self._patches = patches
        self._module = torch.nn.Module
        self._grad_enabled = torch.is_grad_enabled
        patches.replace(torch.nn.Module, "eval", self._wrap_eval)
        self.learn()

    def models(self) -> list[Any]:
        """The modules that were seen outermost and live."""
        return [module for reference, _ in list(self._keys.values()) if (module := reference()) is not None]

    def learn(self) -> None:
        """Look at every module call for the next few batches."""
        self._left = LEARNING_REQUESTS
        if not self.learning and not self._suspended and self._patches is not None:
            self.learning = True
            self._patches.replace(self._module, "__call__", self._wrap)

    def suspend(self) -> None:
        """Put the classes back while torch.compile looks at them, so that it sees what it would see alone."""
        if self._patches is not None and not self._suspended:
            self._suspended = True
            for owner in (self._module, *self._classes):
                self._patches.undo_last(owner, "__call__")

    def resume(self) -> None:
        """Wrap again what `suspend` has put back."""
        if self._patches is None or not self._suspended:
            return
        self._suspended = False
        if not self._recorder.enabled:
            return
        if self.learning:
            self._patches.replace(self._module, "__call__", self._wrap)
        else:
            self._settle()

    def on_request(self) -> None:
        """A batch was asked for (or an optimizer has stepped): one less to learn from."""
        if self.learning and not self._suspended:
            self._left -= 1
            if self._left < 0:
                self._settle()

    def _settle(self) -> None:
        assert self._patches is not None
        self.learning = False
        self._patches.undo_last(self._module, "__call__")
        for cls in self._classes:
            if "__call__" not in vars(cls) or not hasattr(vars(cls)["__call__"], "_slowprobe"):
                self._patches.replace(cls, "__call__", self._wrap)

    def _wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        recorder, is_compiling = self._recorder, self._is_compiling

        def __call__(module: Any, *args: Any, **kwargs: Any) -> Any:
            if is_compiling() or self.inside or get_ident() != recorder.thread:
                return original(module, *args, **kwargs)
            key = self._key(module)
            if self.look is not None and module.training:
                self._show(key, args, kwargs)
            self.inside = True
            before = minor_faults() if key in self.page_faults else 0
            recorder.open(key)
            try:
                return original(module, *args, **kwargs)
            finally:
                self.inside = False
                recorder.close(key)
                if key in self.page_faults:
                    self.page_faults[key] += minor_faults() - before

        wrapper = like(__call__, original)
        wrapper._slowprobe = True  # type: ignore[attr-defined]
        return wrapper

    def _wrap_eval(self, original: Callable[..., Any]) -> Callable[..., Any]:
        recorder, is_compiling = self._recorder, self._is_compiling

        def eval(module: Any) -> Any:
            if self._evaluations and recorder.here() and not self.inside and not is_compiling():
                self._evaluations -= 1
                self.learn()
                self.listen()
            return original(module)

        return like(eval, original)

    def _show(self, key: int, args: Any, kwargs: Any) -> None:
        try:
            if self.look is not None and not self.look(subject_of(key), [args, kwargs]):
                self.look = None
        except Exception as error:
            self.look = None
            self._recorder.fail(error)

    def _key(self, module: Any) -> int:
        try:
            flags = (bool(module.training), self._grad_enabled())
            entry = self._keys.get(id(module))  # by identity: a module may define equality as it likes
            if entry is None or entry[0]() is not module:
                entry = self._keys[id(module)] = (weakref.ref(module), {})
            key = entry[1].get(flags)
            if key is None:
                self._classes.add(type(module))
                number = self._subjects.number(
                    "forward", object(), type(module).__name__, lambda: describe(module, *flags), depth=2
                )
                key = entry[1][flags] = span_key(FORWARD, number)
                if flags == _EVALUATED and minor_faults():
                    self.page_faults[key] = 0
            return key
        except Exception as error:
            self._recorder.fail(error)
            return span_key(FORWARD)


def describe(module: Any, training: bool, grad: bool) -> Attributes:
    """What the rules need to know of an outermost module."""
    params = list(module.parameters())
    return {
        "class": type(module).__name__,
        "object": id(module),
        "training": training,
        "grad": grad,
        "params": len(params),
        "elements": sum(param.numel() for param in params),
        "trainable": sum(param.requires_grad for param in params),
        "device": ",".join(sorted({param.device.type for param in params})),
        "compiled": type(module).__name__ == "OptimizedModule"
        or getattr(module, "_compiled_call_impl", None) is not None,
    }
