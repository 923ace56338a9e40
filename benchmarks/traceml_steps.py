"""Runs a script under TraceML with its step around each loop body, as its documentation asks of the user.

    traceml run traceml_steps.py --args script.py

TraceML diagnoses only loops whose every step has a time spent waiting for input; where no loader is, its wrapper for
iterators is put around one that has nothing to fetch.
"""

from __future__ import annotations

import itertools
import runpy
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import torch
import traceml_ai
from loop_steps import LoopSteps
from traceml_ai.instrumentation.patches.forward_auto_timer_patch import _TLS


class TracedSteps:
    """TraceML's step, opened and closed."""

    def __init__(self) -> None:
        self._open: AbstractContextManager[None] | None = None
        self._model = torch.nn.Linear(1, 1)  # only asked for its device
        self._nothing = traceml_ai.wrap_dataloader_fetch(itertools.repeat(None))

    def begin(self, fed: bool) -> None:
        """Open the step; its input is fetched before it."""
        if not fed:
            next(self._nothing)
        self._open = traceml_ai.trace_step(self._model)
        self._open.__enter__()
        _TLS._traceml_forward_target_ids = set()  # each outermost module counts, not one model's calls only

    def end(self) -> None:
        """Close the step."""
        assert self._open is not None
        self._open.__exit__(None, None, None)


if __name__ == "__main__":
    script = sys.argv[1]
    traceml_ai.init()
    steps = TracedSteps()
    LoopSteps(steps.begin, steps.end).watch()
    sys.argv = [script]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")
