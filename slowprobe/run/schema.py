"""What a run leaves on disk: the record types of a run folder, schema ``slowprobe.run/1``.

A run folder holds

    run.json          one `Manifest`, written when slowprobe attaches
    journal.jsonl     one record a line, appended while the run lives (every type of `Record`)
    workers/*.jsonl   the same, one file a DataLoader worker: `WorkerHello`, `WorkerBatches`, `WorkerHandOvers`,
                      `Transforms`, `ItemDigests`, `WorkerResources`, `Frames`, `Samples`, `OtherThreads`
    traces/           torch.profiler windows, named as the TensorBoard plugin and Perfetto open them

All times are integer nanoseconds of the system-wide monotonic clock minus `Manifest.origin_ns`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from slowprobe.run.compile_record import Compilations
from slowprobe.run.gradient_record import GradientUse
from slowprobe.run.kernels import Kernels
from slowprobe.run.loader_records import LoaderCpu, LoaderReads, Padding
from slowprobe.run.record import RecordBase, Site
from slowprobe.run.replica_record import Replicas
from slowprobe.run.sample_records import Frames, LockWaits, OtherThreads, Samples
from slowprobe.run.worker_records import (
    ItemDigests,
    Transforms,
    WorkerBatches,
    WorkerHandOvers,
    WorkerHello,
    WorkerResources,
)

SCHEMA = "slowprobe.run/1"

SpanKind = Literal[
    "loader_start",  # DataLoader.__iter__: workers start, sampler is built
    "data_wait",  # the loop asks for a batch and gets it
    "loader_end",  # the request that ends in StopIteration
    "fetch",  # inside data_wait when num_workers=0: dataset items and transforms
    "collate",  # inside data_wait when num_workers=0
    "forward",  # an outermost nn.Module call
    "backward",
    "optimizer",
    "zero_grad",
    "scaler",  # GradScaler.unscale_ / update, and step around the optimizer
    "save",  # torch.save and relatives
    "log",  # print, logging, tqdm, TensorBoard and other trackers
    "gc",
    "compile",  # torch._dynamo
    "sleep",  # time.sleep
    "external",  # subprocess and network calls
    "slowprobe",  # slowprobe's own work on the training thread
    "communication",  # barriers and object collectives of torch.distributed
    "closure",  # inside optimizer: the function it calls back, in which trainers do the whole step
]
KINDS: tuple[SpanKind, ...] = SpanKind.__args__  # type: ignore[attr-defined]
"""Span kinds in the order of their numbers in `Spans.kind`."""


class Manifest(msgspec.Struct, kw_only=True):
    """Who ran what, where: known when slowprobe attaches."""

    schema: str
    slowprobe_version: str
    command: list[str]
    script: str
    mode: Literal["profile", "api"]
    origin_ns: int
    """Monotonic clock at which the run began (the process was started), in ns."""
    started_at: str
    """ISO 8601, UTC."""
    pid: int
    cwd: str
    python: str
    prefixes: list[str]
    """Folders whose code is not the user's: the standard library, site-packages, temporary folders."""
    host: dict[str, int | float | str | None]
    """cores (usable by this process), physical_cores, memory_bytes, quota_cores, platform, cpu_model, cpu_bf16,
    local_world_size."""
    rank: int = 0
    world_size: int = 1
    user_folders: list[str] = []
    """The user's folders inside those; the deeper one decides."""


class Subject(RecordBase, tag="subject"):
    """What a span is about: a loader, an optimizer, a module, a call site. Referred to by `id`.

    attrs by kind:
      data_wait, loader_start, loader_end, fetch, collate (one subject a loader object):
        class, dataset, subset_of (class of the dataset whose rows torch's Subset chooses, or None), num_workers,
        batch_size, prefetch_factor, persistent_workers, pin_memory, in_order,
        start_method, shuffle, length (batches an epoch or None), collate, iterable, watch, timeout_s,
        sampler_batch_size (of a batch sampler), context (how workers are really started),
        pin_thread (pin_memory, and there is a device),
        arrays (names of attributes that are tensors or arrays, with commas, of the dataset below its Subsets;
        ``tensors`` of TensorDataset)
      optimizer: class, params, elements, dtypes, foreach, fused, capturable, differentiable, device
      zero_grad: class, set_to_none
      forward: class, training, grad (grad mode on), params, device, compiled
      log: api (``print``, ``logging``, ``tqdm``, ``SummaryWriter.add_scalar``, …)
      save, sleep, external, communication, scaler: api
      gc: generation
    """

    id: int
    kind: SpanKind
    name: str
    site: Site | None = None
    attrs: dict[str, str | int | float | bool | list[int] | None] = {}


class Spans(RecordBase, tag="spans"):
    """Closed spans of the training thread, column by column, in closing order.

    `start` is relative to `base_ns`; `self` is the duration less that of nested spans; depth 0 is outermost.
    A stretch of records with the same `stretch` number is gapless: nothing between them was left out.
    """

    stretch: int
    base_ns: int
    kind: list[int]
    subject: list[int]
    start: list[int]
    duration: list[int]
    self_ns: list[int]
    depth: list[int]


class Chunk(RecordBase, tag="chunk"):
    """Exact totals of a stretch of the run, kept even where `Spans` thin out.

    spans: rows [kind, subject, count, self_ns, total_ns, longest_ns]
    gaps: rows [kind, subject, next_kind, next_subject, count, ns]: time on the training thread in no span,
      by the outermost spans before and after (kind -1: start or end of the run).
    Over all chunks, self_ns and gap ns add up to the time between attach and detach.
    """

    start_ns: int
    end_ns: int
    spans: list[list[int]]
    gaps: list[list[int]]
    raw: int
    """How many of this chunk's spans were written as `Spans`."""
    open: list[list[int]] = []
    """Spans still open when the chunk was written, outermost first: rows [kind, subject, since_ns]."""


class Resources(RecordBase, tag="resources"):
    """One reading of the machine: cumulative CPU seconds and bytes in use."""

    at_ns: int
    cpu_s: float
    """This process, all its threads."""
    rss_bytes: int
    system_busy_s: float
    """All cores, all processes."""
    available_bytes: int
    system_idle_s: float = 0.0
    """All cores; 0 in recordings of slowprobe versions that did not read it."""
    page_faults: dict[str, int] = {}
    """First touches of memory by this process since the recording began, in pages, by the kind of the span that was
    open ("python" outside all); empty where they are not counted."""


class State(RecordBase, tag="state"):
    """Global torch settings, read once the loop runs.

    keys: torch, num_threads, interop_threads, anomaly, deterministic, omp_num_threads, matmul_precision,
    profiler_active, cudnn_benchmark, default_dtype, devices (list of names), debug_env (list of names),
    accelerators (how many this torch could use, whether or not it does), ranks (processes that train together)
    """

    at_ns: int
    values: dict[str, str | int | float | bool | list[str] | None]


class Window(RecordBase, tag="window"):
    """One torch.profiler window. `clean`: no shapes, no lines; `annotated`: one step with both; `sizing`: one
    throw-away step that counts events. start..end is what was recorded; until `resumed_ns` the loop stood still."""

    role: Literal["sizing", "clean", "annotated"]
    opened_ns: int
    start_ns: int
    end_ns: int
    resumed_ns: int
    steps: int
    events: int
    path: str | None
    """Relative to the run folder; the trace has one ``slowprobe.step`` user annotation a step."""


class Source(RecordBase, tag="source"):
    """The text of a user's source file as it was when it ran."""

    file: str
    text: str
    truncated: bool = False


class Calibration(RecordBase, tag="calibration"):
    """Costs measured on this machine after the run, on synthetic data. Keys carry their units."""

    values: dict[str, float]


class Note(RecordBase, tag="note"):
    """Something the reader should know: a probe that failed, a window that was skipped."""

    at_ns: int
    level: Literal["info", "warning", "error"]
    topic: str
    text: str


class End(RecordBase, tag="end"):
    """The last record of a run that ended by itself: how."""

    at_ns: int
    detached_ns: int
    exception: str | None = None


class Exit(RecordBase, tag="exit"):
    """Written by the command that started the run: how the process ended, whatever way."""

    at_ns: int
    exit_code: int | None
    signal: int | None = None


Record = (
    Subject
    | Spans
    | Chunk
    | Frames
    | Samples
    | Resources
    | LoaderCpu
    | LoaderReads
    | LockWaits
    | OtherThreads
    | Padding
    | State
    | Window
    | GradientUse
    | Compilations
    | Replicas
    | Source
    | Calibration
    | Kernels
    | Note
    | WorkerHello
    | WorkerBatches
    | WorkerHandOvers
    | Transforms
    | ItemDigests
    | WorkerResources
    | End
    | Exit
)
