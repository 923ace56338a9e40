"""Finds where the steps of any training loop begin and end, for tools that want to be told in the script itself.

A step ends where the next batch is asked for after an optimizer step, as where a user would put it: around the loop's
body. In loops that take no batches from a loader, each step of the optimizer that stepped first ends one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook
from torch.utils.data import DataLoader


class LoopSteps:
    """Calls `begin(fed)` and `end()` at the borders of each step; `fed` says that a loader handed the batch over."""

    def __init__(self, begin: Callable[[bool], None], end: Callable[[], None]) -> None:
        self._begin, self._end = begin, end
        self._lead: Optimizer | None = None
        self._is_open = self._stepped = self._fed = False

    def open(self) -> None:
        """Begin a step unless one is open."""
        if not self._is_open:
            self._is_open = True
            self._begin(self._fed)

    def close(self) -> None:
        """End the step in which an optimizer stepped."""
        if self._is_open and self._stepped:
            self._is_open = self._stepped = False
            self._end()

    def optimized(self, optimizer: Optimizer, *_: Any) -> None:
        """After each Optimizer.step."""
        self._stepped = True
        self._lead = self._lead or optimizer
        if optimizer is not self._lead:
            return
        was_fed, self._fed = self._fed, False
        if not was_fed:
            self.close()
            self.open()

    def watch(self) -> None:
        """Hook into loaders, outside what the tool itself hooked in by now, and into optimizers."""
        iterate = DataLoader.__iter__

        def batches(loader: Any) -> Iterator[Any]:
            passing = iter(iterate(loader))
            while True:
                self.close()
                try:
                    batch = next(passing)
                except StopIteration:
                    return
                self._fed = True
                self.open()
                yield batch

        DataLoader.__iter__ = batches
        register_optimizer_step_post_hook(self.optimized)
