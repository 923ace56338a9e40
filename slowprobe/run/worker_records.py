"""What a DataLoader worker leaves on disk, and both it and the training process of transforms and items."""

from __future__ import annotations

from slowprobe.run.record import RecordBase, Site


class WorkerHello(RecordBase, tag="worker"):
    """First line of a worker's file: which loader it serves."""

    pid: int
    worker: int
    num_workers: int
    loader: int
    at_ns: int
    spawned_ns: int
    """When the main process began to start the iterator."""


class WorkerBatches(RecordBase, tag="batches"):
    """Batches a worker made, column by column: start, then costs of each in ns; one in `every` is recorded."""

    every: int
    start: list[int]
    fetch: list[int]
    """Wall time in the dataset: items, transforms."""
    fetch_cpu: list[int]
    """CPU time of the worker's thread in the dataset (with collate where `collate_cpu` is empty); −1: not read."""
    collate: list[int]
    size: list[int]
    """Items in the batch."""
    number: list[int] = []
    """How many batches this worker had begun before."""
    collate_cpu: list[int] = []
    tensor_bytes: list[int] = []
    """Bytes of the tensors in the batch, read for some; −1 for the others."""
    tensors: list[int] = []
    """How many they are, likewise."""
    digest: list[int] = []
    """Of what is in the batch, for the first three of each worker; 0 for the others and where nothing could be read."""


class WorkerHandOvers(RecordBase, tag="hand_overs"):
    """How recorded batches were pickled for the queue, column by column; times in ns, on the queue's own thread."""

    number: list[int]
    """The batch's, as in `WorkerBatches`."""
    index: list[int]
    """Its place in the pass over the loader."""
    start: list[int]
    wall: list[int]
    cpu: list[int]
    payload: list[int]
    """Bytes that go through the pipe; tensors go through shared memory."""


class Transforms(RecordBase, tag="transforms"):
    """Calls of the transforms that a loader's dataset holds, since the process began; a later record replaces it.

    rows: [name, calls, ns, ns_read, cpu_ns]: `name` is an index into `names`, ns excludes nested transforms, ns_read is
    the part of ns beside which the CPU clock was read, too, and cpu_ns the CPU time of that part.
    """

    loader: int
    names: list[str]
    sites: list[Site | None]
    rows: list[list[int]]


WHOLE_ITEM = -1


class ItemDigests(RecordBase, tag="items"):
    """What a few items of a loader's dataset held, each time they were made, column by column."""

    loader: int
    index: list[int]
    transform: list[int]
    """After which transform: an index into the process's `Transforms.names`, or `WHOLE_ITEM`."""
    digest: list[int]
    """Equal for equal contents."""


class WorkerResources(RecordBase, tag="worker_resources"):
    """One reading of a worker process; counters since its start. None: not to be had on this machine, or not now."""

    at_ns: int
    cpu_ns: int
    rss_bytes: int | None = None
    pss_bytes: int | None = None
    uss_bytes: int | None = None
    rchar: int | None = None
    read_bytes: int | None = None
    read_calls: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    run_delay_ns: int | None = None
    """The thread that makes batches was ready to run and had no core."""
    native_threads: int | None = None
    """Threads that are not Python's: those of libraries (BLAS, OpenMP, OpenCV)."""
    native_cpu_ns: int | None = None
    """CPU time of those that live now."""
    opens: int | None = None
    """Files opened by Python code while batches were fetched."""
    open_sites: list[tuple[str, int, str, int]] = []
    """The user's lines that opened them: file, line, function, and how often among the calls that were looked at."""
