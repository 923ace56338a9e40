"""The batches of one worker and their hand-over, thinned out so that a long run's file stays small."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from slowprobe.capture.batch_digest import FIRST, UNKNOWN, batch_digest
from slowprobe.capture.batch_tensors import BatchTensors, batch_tensors
from slowprobe.run.worker_records import WorkerBatches, WorkerHandOvers

THIN_AFTER = 2_000  # batches recorded at one rate; then half as often, so a file grows with the logarithm of the run
MAX_AWAITED = 1_000
NOT_READ = -1
_BYTES_FIRST, _BYTES_EVERY = 4, 64  # batches whose tensors are looked at
_BATCH = (
    "start",
    "fetch",
    "fetch_cpu",
    "collate",
    "size",
    "number",
    "collate_cpu",
    "tensor_bytes",
    "tensors",
    "digest",
)
_UNREAD = BatchTensors(NOT_READ, NOT_READ)
_HAND_OVER = ("number", "index", "start", "wall", "cpu", "payload")


class BatchLog:
    """Rows for batches and hand-overs; `take` gives the records, from any thread."""

    def __init__(self, origin_ns: int) -> None:
        self._origin_ns = origin_ns
        self._batches: list[list[int]] = []
        self._hand_overs: list[list[int]] = []
        self._every = 1
        self._begun = self._recorded = 0
        self._awaited: dict[int, deque[int]] = {}
        """Numbers of recorded batches that were not handed over yet, by the identity of the batch."""
        self._lock = threading.Lock()

    def add(self, batch: Any, start: int, wall: int, cpu: int, collate: int, collate_cpu: int, size: int) -> bool:
        """A batch was made. True when it is time to write, and to thin."""
        number = self._begun
        self._begun += 1
        if (number + 1) % self._every:
            return False
        looked_at = number < _BYTES_FIRST or self._recorded % _BYTES_EVERY == 0
        tensors = batch_tensors(batch) if looked_at else _UNREAD
        row = [
            start - self._origin_ns,
            wall - collate,
            NOT_READ if cpu == NOT_READ else max(cpu - collate_cpu, 0),
            collate,
            size,
            number,
            NOT_READ if cpu == NOT_READ else collate_cpu,
            tensors.size,
            tensors.number,
            batch_digest(batch) if number < FIRST else UNKNOWN,
        ]
        with self._lock:
            self._batches.append(row)
        if len(self._awaited) < MAX_AWAITED:
            self._awaited.setdefault(id(batch), deque()).append(number)
        self._recorded += 1
        return self._recorded % THIN_AFTER == 0

    def thin(self) -> None:
        """Record half as often from now on; what was recorded must have been taken."""
        self._every *= 2

    def awaits(self, message: Any) -> int | None:
        """The number of the batch in what a worker puts into its queue: (place in the pass, batch or (batch, …))."""
        if type(message) is not tuple or len(message) != 2 or not isinstance(message[0], int):
            return None
        batch = message[1]
        waiting = self._awaited.get(id(batch))
        if waiting is None and type(batch) is tuple and batch:  # torchdata's worker sends its state along
            batch = batch[0]
            waiting = self._awaited.get(id(batch))
        if waiting is None:
            return None
        number = waiting.popleft()
        if not waiting:
            del self._awaited[id(batch)]
        return number

    def handed_over(self, number: int, index: int, start: int, wall: int, cpu: int, payload: int) -> None:
        """Batch `number` of this worker was pickled."""
        with self._lock:
            self._hand_overs.append([number, index, start - self._origin_ns, wall, cpu, payload])

    def take(self) -> list[WorkerBatches | WorkerHandOvers]:
        """The records since the last call."""
        with self._lock:
            batches, self._batches = self._batches, []
            hand_overs, self._hand_overs = self._hand_overs, []
        records: list[WorkerBatches | WorkerHandOvers] = []
        if batches:
            records.append(WorkerBatches(every=self._every, **columns(_BATCH, batches)))
        if hand_overs:
            records.append(WorkerHandOvers(**columns(_HAND_OVER, hand_overs)))
        return records


def columns(names: tuple[str, ...], rows: list[list[int]]) -> dict[str, Any]:
    """Rows as columns by name; there must be a row."""
    return dict(zip(names, (list(column) for column in zip(*rows, strict=True)), strict=True))


def time_hand_over(log: BatchLog, afterwards: Callable[[], None]) -> None:
    """Time how this process, a worker, pickles batches for its queue; `afterwards` is called after each."""
    from multiprocessing import queues
    from multiprocessing.reduction import ForkingPickler

    from slowprobe.capture.sites import strip_traceback

    original_pickler: Any = queues._ForkingPickler  # type: ignore[attr-defined]

    class TimedPickler(ForkingPickler):
        @classmethod
        def dumps(cls, obj: Any, protocol: int | None = None) -> Any:
            try:
                number = log.awaits(obj)
            except Exception:
                number = None
            if number is None:
                return original_pickler.dumps(obj, protocol)
            start, cpu = time.perf_counter_ns(), time.thread_time_ns()
            payload = original_pickler.dumps(obj, protocol)
            wall, cpu = time.perf_counter_ns() - start, time.thread_time_ns() - cpu
            try:
                log.handed_over(number, obj[0], start, wall, cpu, len(payload))
                afterwards()
            except Exception:  # the batch must get to its queue whatever happens here
                return payload
            return payload

    def _on_queue_feeder_error(error: Any, obj: Any) -> None:
        strip_traceback(error)  # it prints the traceback
        original_error(error, obj)

    original_error = queues.Queue._on_queue_feeder_error  # type: ignore[attr-defined]
    queues._ForkingPickler = TimedPickler  # type: ignore[attr-defined]
    queues.Queue._on_queue_feeder_error = staticmethod(_on_queue_feeder_error)  # type: ignore[attr-defined]
