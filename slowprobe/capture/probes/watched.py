"""Loaders that torch does not know: any iterable, watched batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from slowprobe.capture.recorder import KIND, Recorder

T = TypeVar("T")
DATA_WAIT, LOADER_START, LOADER_END = KIND["data_wait"], KIND["loader_start"], KIND["loader_end"]


class Watched(Generic[T]):
    """An iterator over `batches` that records each request, as the loader probe does for DataLoaders."""

    def __init__(
        self, batches: Iterable[T], recorder: Recorder, subject: int, on_request: Callable[[int], None]
    ) -> None:
        self._recorder = recorder
        self._subject = subject
        self._on_request = on_request
        recording = recorder.here()
        if recording:
            recorder.open(LOADER_START, subject)
        try:
            self._batches = iter(batches)
        finally:
            if recording:
                recorder.close(LOADER_START)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        recorder = self._recorder
        if not recorder.here() or recorder.depth[DATA_WAIT]:
            return next(self._batches)
        self._on_request(self._subject)
        recorder.open(DATA_WAIT, self._subject)
        try:
            batch = next(self._batches)
        except StopIteration:
            recorder.close(DATA_WAIT, as_kind=LOADER_END)
            raise
        except BaseException:
            recorder.close(DATA_WAIT)
            raise
        recorder.close(DATA_WAIT)
        return batch
