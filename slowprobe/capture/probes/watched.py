"""Loaders that torch does not know: any iterable, watched batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from slowprobe.capture.probes.requests import DATA_WAIT, Requests
from slowprobe.capture.recorder import KIND
from slowprobe.capture.span_key import span_key

T = TypeVar("T")
LOADER_START = KIND["loader_start"]


class Watched(Generic[T]):
    """An iterator over `batches` that records each request, as the loader probe does for DataLoaders."""

    def __init__(self, batches: Iterable[T], requests: Requests, subject: int) -> None:
        self._requests = requests
        self._key = span_key(DATA_WAIT, subject)
        recorder = requests.recorder
        recording = recorder.here()
        if recording:
            recorder.open(span_key(LOADER_START, subject))
        try:
            self._batches = iter(batches)
        finally:
            if recording:
                recorder.close(span_key(LOADER_START, subject))

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        recorder = self._requests.recorder
        if not recorder.here() or recorder.inside(DATA_WAIT):
            return next(self._batches)
        batch: T = self._requests.ask(self._key, next, self._batches)
        return batch
