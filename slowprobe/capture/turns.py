"""Counts the turns of the training loop while it runs, to place windows and to honour ``steps=``.

Only a guide for capture: what a step was is decided afterwards, by the timeline, from everything that was recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Literal

Driver = tuple[Literal["loader", "optimizer", "backward"], int]

_SURE_AFTER = 4  # turns before a driver is fixed; two epochs of warm-up batches would be too late for short runs
_ACCUMULATION_RATIO = (
    0.75  # fewer optimizer steps a batch than this: micro-batches (skipped GradScaler steps are rarer)
)


class Turns:
    """Learns what drives the loop (a loader's batches, an optimizer's steps, backward calls) and reports each turn."""

    def __init__(self, on_turn: Callable[[], None]) -> None:
        self._on_turn = on_turn
        self._trained = False
        self._loaders: Counter[int] = Counter()
        self._optimizers: Counter[int] = Counter()
        self._backwards = 0
        self.driver: Driver | None = None
        self.count = 0
        self.first_count = _SURE_AFTER - 1

    @property
    def has_loader(self) -> bool:
        """Whether batches come from a loader."""
        return bool(self._loaders)

    def request(self, loader: int) -> None:
        """A batch is about to be asked for."""
        if self._trained:
            self._trained = False
            self._loaders[loader] += 1
            self._turn(("loader", loader))

    def step(self, optimizer: int) -> None:
        """An optimizer has stepped."""
        self._trained = True
        self._optimizers[optimizer] += 1
        self._turn(("optimizer", optimizer))

    def backward(self) -> None:
        """A backward pass has ended."""
        self._trained = True
        self._backwards += 1
        self._turn(("backward", 0))

    def _turn(self, event: Driver) -> None:
        if self.driver is None:
            self.driver = self._decide()
            if self.driver is None:
                return
            self.count = self.first_count
        if event == self.driver:
            self.count += 1
            self._on_turn()

    def _decide(self) -> Driver | None:
        loader, batches = self._loaders.most_common(1)[0] if self._loaders else (0, 0)
        optimizer, steps = self._optimizers.most_common()[-1] if self._optimizers else (0, 0)
        if batches >= _SURE_AFTER and (not self._optimizers or steps >= _ACCUMULATION_RATIO * (batches - 1)):
            return ("loader", loader)
        if (batches < _SURE_AFTER / 2 and steps >= _SURE_AFTER) or batches >= _SURE_AFTER <= steps:
            return ("optimizer", optimizer)
        if not self._optimizers and batches == 0 and self._backwards >= _SURE_AFTER:
            return ("backward", 0)
        return None
