"""Runs a function right after a module has been imported, without importing it.

slowprobe must not import torch before the script does: the script may still set OMP_NUM_THREADS or
CUDA_VISIBLE_DEVICES, which torch reads while it loads.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Waiter:
    """A meta path finder that lets the usual finders find `name`, and runs `then` when its code has been executed."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name = name
        self._then = then
        self._searching = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Part of the import protocol."""
        if fullname != self._name or self._searching:
            return None
        self._searching = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._searching = False
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            execute(module)
            self.remove()
            self._then()

        loader.exec_module = exec_module
        return spec

    def remove(self) -> None:
        """Stop waiting."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)


def call_when_imported(name: str, then: Callable[[], None]) -> Callable[[], None]:
    """Call `then` now if module `name` is imported, else once it has been; returns a function that stops waiting."""
    module = sys.modules.get(name)
    if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
        then()
        return lambda: None
    waiter = _Waiter(name, then)
    sys.meta_path.insert(0, waiter)
    return waiter.remove
