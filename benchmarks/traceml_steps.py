"""Runs a script under TraceML with its step around each loop body, as its documentation asks of the user.

python traceml_steps.py script.py

A step begins when a batch was handed over, or where the last one ended, and ends when the next batch is asked for
after an optimizer step; in loops without a loader each optimizer step ends one.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
import traceml_ai
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.data import DataLoader
from traceml_ai.instrumentation.patches.forward_auto_timer_patch import _TLS


class Steps:
    """Opens and closes TraceML's step where the loop's body begins and ends."""

    def __init__(self) -> None:
        self._open: AbstractContextManager[None] | None = None
        self._model = torch.nn.Linear(1, 1)  # only asked for its device
        self._stepped = self._has_loader = False

    def begin(self) -> None:
        """Open a step unless one is open."""
        if self._open is None:
            self._open = traceml_ai.trace_step(self._model)
            self._open.__enter__()
            _TLS._traceml_forward_target_ids = set()  # each outermost module counts, not one model's calls only

    def end(self) -> None:
        """Close the step in which an optimizer stepped."""
        if self._open is not None and self._stepped:
            self._open.__exit__(None, None, None)
            self._open, self._stepped = None, False

    def optimized(self, *_: Any) -> None:
        """After each Optimizer.step."""
        self._stepped = True
        if not self._has_loader:
            self.end()
            self.begin()

    def watch(self) -> None:
        """Hook into loaders, outside what TraceML hooked in to time their batches, and into optimizers."""
        timed = DataLoader.__iter__

        def batches(loader: Any) -> Iterator[Any]:
            self._has_loader = True
            passing = iter(timed(loader))
            while True:
                self.end()
                try:
                    batch = next(passing)
                except StopIteration:
                    return
                self.begin()
                yield batch

        DataLoader.__iter__ = batches
        register_optimizer_step_post_hook(self.optimized)


if __name__ == "__main__":
    script = sys.argv[1]
    traceml_ai.init()
    Steps().watch()
    sys.argv = [script]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")
