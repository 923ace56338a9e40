"""Keeps torch.compile away from slowprobe's own frames, so that it makes the graphs it makes alone."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any


def hide_from_dynamo() -> None:
    """Tell dynamo to run slowprobe's functions as they are, and to find nn.Module unpatched.

    It looks at every frame that runs under a compiled function after a graph break; the wrappers let it look at what
    they call, all other functions of slowprobe do not. Called once torch._dynamo has been imported.
    """
    eval_frame: Any = importlib.import_module("torch._dynamo.eval_frame")
    for name, module in list(sys.modules.items()):
        if name.startswith("slowprobe."):
            calls_the_user = name.startswith("slowprobe.capture.probes.")
            for code in _codes(module):
                if calls_the_user or not hasattr(eval_frame, "FrameExecStrategy"):
                    eval_frame.skip_code(code)
                else:
                    skip = eval_frame.FrameAction.SKIP
                    eval_frame.set_code_exec_strategy(code, eval_frame.FrameExecStrategy(skip, skip))
    _restore_unpatched_call()


def _restore_unpatched_call() -> None:
    # dynamo notes nn.Module.__call__ when it is imported (an optimizer does that), perhaps while it is wrapped.
    for name in ("torch._dynamo.utils", "torch._dynamo.variables.nn_module"):
        module: Any = sys.modules.get(name)
        noted: Any = getattr(module, "unpatched_nn_module_call", None)
        if hasattr(noted, "_slowprobe"):
            module.unpatched_nn_module_call = noted.__wrapped__


def _codes(owner: ModuleType | type) -> Iterator[CodeType]:
    for value in list(vars(owner).values()):
        value = getattr(value, "__func__", value)
        value = getattr(value, "fget", value)
        if isinstance(value, FunctionType) and value.__module__ == getattr(owner, "__module__", owner.__name__):
            yield from _nested(value.__code__)
        elif isinstance(value, type) and isinstance(owner, ModuleType) and value.__module__ == owner.__name__:
            yield from _codes(value)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)
