"""Records a request for a batch, whoever makes the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slowprobe.capture.loader_cpu import LoaderCpuMeter
from slowprobe.capture.recorder import KIND, Recorder

DATA_WAIT, LOADER_END = KIND["data_wait"], KIND["loader_end"]


class Requests:
    """Puts a span around each request; `on_request(subject)` is called before it, outside the span."""

    def __init__(self, recorder: Recorder, meter: LoaderCpuMeter, on_request: Callable[[int], None]) -> None:
        self.recorder = recorder
        self._meter = meter
        self._on_request = on_request

    def ask(self, subject: int, make: Callable[..., Any], *args: Any) -> Any:
        """``make(*args)``, recorded; the request that finds no batch any more is a span of its own kind."""
        recorder = self.recorder
        self._on_request(subject)
        try:
            self._meter.request(subject)
        except Exception as error:
            recorder.fail(error)
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
        try:
            self._meter.arrival(subject, batch)
        except Exception as error:
            recorder.fail(error)
        return batch
