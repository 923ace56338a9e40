"""Finds the transforms that a dataset holds, and has their calls counted."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

from slowprobe.capture.patches import Patches
from slowprobe.capture.sites import site
from slowprobe.capture.transform_timer import TransformTimer
from slowprobe.run.record import Site

MAX_FOUND = 100
MAX_DEPTH = 6
MAX_PARTS = 64  # a list or dictionary of transforms is short; a long one holds data
_DATASETS = ("dataset", "datasets", "source_datapipe", "ds", "base", "base_dataset")

Put = Callable[[Any], None]


class TransformFinder:
    """Wraps the classes of transform objects (their ``__call__``), and, where `replaces`, plain functions, too.

    A class is wrapped, not an object: what the dataset holds stays the same object of the same type. A function has to
    be replaced where it is referred to; so that is done in worker processes only, whose dataset is a copy of their own.
    """

    def __init__(self, timer: TransformTimer, patches: Patches, replaces: bool) -> None:
        self._timer = timer
        self._patches = patches
        self._replaces = replaces
        self._classes: set[type] = set()
        self._functions: dict[int, tuple[Any, Any]] = {}
        """Functions by id, both the originals and what replaces them: (the function itself, its replacement)."""
        self._seen: dict[int, Any] = {}

    def search(self, dataset: Any) -> None:
        """Wrap what `dataset`, and the datasets inside it, hold. Never raises, whatever these objects are."""
        with contextlib.suppress(Exception):
            self._look_into(dataset, 0)
        self._seen = {}

    def _look_into(self, owner: Any, depth: int) -> None:
        held = getattr(owner, "__dict__", None)
        if depth > MAX_DEPTH or not isinstance(held, dict) or id(owner) in self._seen:
            return
        self._seen[id(owner)] = owner
        module = _is_module(owner)
        for name, value in list(held.items()):
            if module and name.startswith("_") and name != "_modules":
                continue  # hooks and buffers
            self._consider(name, value, functools.partial(held.__setitem__, name), depth)

    def _consider(self, name: str, value: Any, put: Put | None, depth: int) -> None:
        if len(self._classes) + len(self._functions) >= MAX_FOUND:
            return
        if isinstance(value, FunctionType):
            self._function(value, put)
        elif type(value) is functools.partial:
            self._partial(value, put)
        elif isinstance(value, (list, tuple, dict)):
            self._parts(name, value, depth)
        elif isinstance(value, type):
            return
        elif _is_dataset(name, value):
            self._look_into(value, depth + 1)
        elif callable(value):
            self._object(value, depth)

    def _parts(self, name: str, parts: Any, depth: int) -> None:
        if not 0 < len(parts) <= MAX_PARTS or depth > MAX_DEPTH:
            return
        if isinstance(parts, dict):
            for key, value in list(parts.items()):
                self._consider(name, value, functools.partial(parts.__setitem__, key), depth + 1)
            return
        for number, value in enumerate(parts):
            put = functools.partial(parts.__setitem__, number) if isinstance(parts, list) else None
            self._consider(name, value, put, depth + 1)

    def _object(self, transform: Any, depth: int) -> None:
        kind = type(transform)
        call = _defined(kind, "__call__")
        if call is None:
            return
        has_weights = _is_module(transform) and next(transform.parameters(), None) is not None
        if not self._replaces and (has_weights or kind.__module__.partition(".")[0] == "torch"):
            return  # the model may be made of it
        compiled = kind.__module__.startswith(("torch._dynamo", "torch.jit"))
        if not has_weights and not compiled:
            self._look_into(transform, depth)
        if kind in self._classes or not _returns_at_once(call):
            return
        self._classes.add(kind)
        forward = _defined(kind, "forward") if _is_module(transform) else None
        try:
            where = _place(forward or call)
            self._patches.replace(kind, "__call__", lambda call: self._timer.wrap(call, kind.__qualname__, where))
        except (TypeError, AttributeError):  # a class that cannot be changed
            return

    def _partial(self, value: Any, put: Put | None) -> None:
        if isinstance(value.func, FunctionType):
            timed = self._timed(value.func)
            if timed is not None and put is not None:
                put(functools.partial(timed, *value.args, **value.keywords))

    def _function(self, function: FunctionType, put: Put | None) -> None:
        timed = self._timed(function)
        if timed is not None and put is not None:
            put(timed)

    def _timed(self, function: FunctionType) -> Any:
        """What is to stand for `function`; None where it stays."""
        known = self._functions.get(id(function))
        if known is not None:
            return None if known[1] is function else known[1]
        own = function.__module__ is not None and function.__module__.partition(".")[0] in ("torch", "slowprobe")
        if not self._replaces or own or not _returns_at_once(function):
            return None
        timed = self._timer.wrap(function, function.__qualname__, _place(function))
        self._functions[id(function)] = self._functions[id(timed)] = function, timed
        home = sys.modules.get(function.__module__)
        if home is not None and vars(home).get(function.__qualname__) is function:
            setattr(home, function.__qualname__, timed)  # so that it is still pickled, and compared, by its name
        return timed


def _is_module(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _is_dataset(name: str, value: Any) -> bool:
    data = sys.modules.get("torch.utils.data")
    if data is not None and isinstance(value, data.Dataset):
        return True
    items = hasattr(type(value), "__getitem__") or hasattr(type(value), "__iter__")
    return name in _DATASETS and items and not isinstance(value, (str, bytes))


def _defined(kind: type, name: str) -> FunctionType | None:
    """The Python function that a class has as `name`; None where it is something else."""
    found = next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)
    return found if isinstance(found, FunctionType) else None


def _returns_at_once(function: FunctionType) -> bool:
    """Not a generator or coroutine, whose work is done after the call."""
    return not (
        inspect.isgeneratorfunction(function)
        or inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
    )


def _place(function: FunctionType) -> Site | None:
    code = function.__code__
    return None if code.co_filename.startswith("<") else site(code, code.co_firstlineno)
