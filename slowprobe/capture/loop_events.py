"""What the events of the training loop lead to: turns are counted, windows opened, a recording of N steps ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slowprobe.capture.gradient_use import GradientWatch
from slowprobe.capture.machine import detects_anomalies, read_state
from slowprobe.capture.probes.module import ForwardProbe
from slowprobe.capture.recorder import Recorder
from slowprobe.capture.turns import Turns
from slowprobe.capture.window import WindowProbe
from slowprobe.run.schema import State

_CHECK_EVERY = 64  # backward passes
_STATE_TURNS = 2  # settings are read once the loop runs; scripts set them on the way there


class LoopEvents:
    """Receives the probes' events on the training thread, outside every span; a fault stops only the recording."""

    def __init__(
        self,
        recorder: Recorder,
        write: Callable[[State], None],
        guard: Callable[[str, Callable[[], Any]], bool],
        steps: int | None,
        end: Callable[[], None],
    ) -> None:
        """`end` is called after `steps` turns; ``guard(topic, work)`` survives what `work` raises."""
        self._recorder = recorder
        self._write = write
        self._guard = guard
        self._steps = steps
        self._end = end
        self.listening = True
        """Whether requests and steps still lead to anything; once they do not, probes keep them to themselves."""
        self._turns = Turns(self._on_turn)
        self.backwards = 0
        self.ranks = 1
        """Processes that train together, as known once the loop runs."""
        self.anomaly = False
        """Whether anomaly detection was on when settings were read, or in the backward pass before: a block around that
        switches it off again."""
        self._state_read = False
        self.forward: ForwardProbe | None = None
        self.window: WindowProbe | None = None
        self.watch: GradientWatch | None = None

    @property
    def ends_in_training(self) -> bool:
        """Whether the recording ends after some steps, and the training waits for what comes then."""
        return self._steps is not None

    @property
    def has_loader(self) -> bool:
        """Whether batches come from a loader."""
        return self._turns.has_loader

    @property
    def trained(self) -> bool:
        """Whether the loop has come round."""
        return self._turns.count > 0

    def request(self, loader: int) -> None:
        """A batch is about to be asked for."""
        try:
            if self.forward is not None and self.forward.learning:
                self.forward.on_request()
            self._turns.request(loader)
        except Exception as error:
            self._recorder.fail(error)

    def step(self, optimizer: int) -> None:
        """An optimizer has stepped."""
        try:
            if self.forward is not None and self.forward.learning and not self._turns.has_loader:
                self.forward.on_request()
            self._turns.step(optimizer)
        except Exception as error:
            self._recorder.fail(error)

    def backward(self) -> None:
        """A backward pass has ended."""
        self.backwards += 1
        try:
            if self.listening:
                if not self._state_read:
                    self.anomaly = detects_anomalies()
                self._turns.backward()
            elif self.backwards % _CHECK_EVERY == 0:
                self._check_log()
        except Exception as error:
            self._recorder.fail(error)

    def _check_log(self) -> None:
        if self._recorder.crowded:
            self._recorder.fail(MemoryError("the disk is too slow for what is recorded"))

    def _read_state(self) -> None:
        self._state_read = True
        state = read_state(self._recorder.origin_ns, self.anomaly)
        self.anomaly = bool(state.values["anomaly"])
        ranks = state.values.get("ranks")
        self.ranks = ranks if isinstance(ranks, int) else 1
        self._write(state)

    @property
    def _watching(self) -> bool:
        return self.watch is not None and self.watch.active

    def _on_turn(self) -> None:
        if self._turns.count == self._turns.first_count + _STATE_TURNS:
            self._guard("state", self._read_state)
        if self._recorder.stack:
            return  # a closure inside optimizer.step: not between two steps
        self._check_log()
        if self.watch is not None and not self.watch.done:
            self.watch.turn()  # over before the first window can open
        if self._steps is not None and self._turns.count >= self._steps:
            self._end()
        elif self.window is not None:
            self.window.turn()
        if self._turns.count > self._turns.first_count + _STATE_TURNS and self._steps is None:
            learning = self.forward is not None and self.forward.learning
            self.listening = learning or self._watching or not (self.window is None or self.window.done)
