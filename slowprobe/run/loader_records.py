"""What the training thread leaves on disk of its loaders: clocks, reads and the padding of some batches."""

from __future__ import annotations

from slowprobe.run.record import RecordBase


class LoaderCpu(RecordBase, tag="loader_cpu"):
    """Clocks read around some requests of a loader: the training thread while it waits, the process while it trains."""

    loader: int
    waits: int
    wait_ns: int
    wait_cpu_ns: int
    """CPU time of the training thread; without workers, of making the batches."""
    steps: int
    step_ns: int
    """From a batch's arrival to the next request."""
    step_cpu_ns: int
    """CPU time of all threads of the training process."""
    batch_bytes: int = -1
    """Bytes of the tensors in the first batch that was looked at."""


class LoaderReads(RecordBase, tag="loader_reads"):
    """What the training thread read from files while it made some batches of a loader without workers."""

    loader: int
    batches: int
    items: int
    rchar: int
    """Bytes, from memory or storage."""
    read_calls: int
    read_bytes: int
    """Bytes from storage."""


class Padding(RecordBase, tag="padding"):
    """How long the rows of some batches are, of the integer tensor of theirs that is least padded: 1 batch an entry."""

    loader: int
    """In a loop without a loader: the model that the batches were given to, as a negative number."""
    rows: list[int]
    width: list[int]
    """Columns, the padded ones included."""
    lengths: list[list[int]]
    """Columns of a row before its padding; of wide batches for the first rows only."""
