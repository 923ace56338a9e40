"""Records a request for a batch, whoever makes the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slowprobe.capture.loader_cpu import LoaderCpuMeter
from slowprobe.capture.recorder import KIND, Recorder

DATA_WAIT, LOADER_END = KIND["data_wait"], KIND["loader_end"]
EVERY = 8
"""Clocks are read around one request in so many, and once more when the step after it has ended."""


class Requests:
    """Puts a span around each request; `on_request(subject)` is called before it, outside the span."""

    def __init__(self, recorder: Recorder, meter: LoaderCpuMeter, on_request: Callable[[int], None]) -> None:
        self.recorder = recorder
        self._meter = meter
        self._on_request = on_request
        self._asked = 0

    def ask(self, subject: int, make: Callable[..., Any], *args: Any) -> Any:
        """``make(*args)``, recorded; the request that finds no batch any more is a span of its own kind."""
        recorder = self.recorder
        self._on_request(subject)
        self._asked = asked = self._asked + 1
        reads = asked % EVERY
        if reads <= 1:
            self._read(self._meter.request, subject)
        recorder.open(DATA_WAIT, subject)
        try:
            batch = make(*args)
        except StopIteration:
            recorder.close(DATA_WAIT, as_kind=LOADER_END)
            raise
        except BaseException:
            recorder.close(DATA_WAIT)
            raise
        recorder.close(DATA_WAIT)
        if not reads:
            self._read(self._meter.arrival, subject, batch)
        return batch

    def _read(self, read: Callable[..., None], *about: Any) -> None:
        try:
            read(*about)
        except Exception as error:
            self.recorder.fail(error)
