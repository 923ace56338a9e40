"""Records a request for a batch, whoever makes the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slowprobe.capture.loader_cpu import LoaderCpuMeter
from slowprobe.capture.loop_events import LoopEvents
from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.span_key import subject_of

DATA_WAIT, LOADER_END = KIND["data_wait"], KIND["loader_end"]
EVERY = 8
"""Clocks are read around one request in so many, and once more when the step after it has ended."""


class Requests:
    """Puts a span around each request, and tells `events` of it before, outside the span."""

    def __init__(self, recorder: Recorder, meter: LoaderCpuMeter, events: LoopEvents) -> None:
        self.recorder = recorder
        self.meter = meter
        self._events = events
        self._asked = 0

    def ask(self, key: int, make: Callable[[Any], Any], batches: Any) -> Any:
        """``make(batches)``, recorded as a span `key`; the request that finds no batch any more gets another kind."""
        recorder, events = self.recorder, self._events
        if events.listening:
            events.request(subject_of(key))
        self._asked = asked = self._asked + 1
        reads = asked % EVERY
        if reads <= 1:
            self._read(self.meter.request, subject_of(key))
        recorder.open(key)
        try:
            batch = make(batches)
        except StopIteration:
            recorder.close(key, LOADER_END)
            raise
        except BaseException:
            recorder.close(key)
            raise
        recorder.close(key)
        if not reads:
            self._read(self.meter.arrival, subject_of(key), batch)
        return batch

    def _read(self, read: Callable[..., None], *about: Any) -> None:
        try:
            read(*about)
        except Exception as error:
            self.recorder.fail(error)
