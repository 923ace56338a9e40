"""The part of the result document about the device: what it did, why it stood idle, and one typical step in detail."""

from __future__ import annotations

from typing import Literal

import msgspec

from slowprobe.report.timeline_document import StepTimeline

Group = Literal["compute", "communication", "copy", "idle"]


class DevicePart(msgspec.Struct, kw_only=True):
    """One cell of the partition of the device's time; `id` is a kernel class, ``communication``, ``copy``, ``idle_…``.

    Communication and copies count only where no computing hides them; the cells add up to the span.
    """

    id: str
    group: Group
    us: float
    share: float
    """Of the span."""


class DeviceSteps(msgspec.Struct, kw_only=True):
    """The partition of each whole step, in order; one entry a step in each list, or a group of `group` steps' mean.

    `basis` says what marks a step; `left_out` names those that the recording cut off.
    """

    basis: str
    count: int
    median_us: float
    typical: int
    """Number of the step of median length, which the timeline shows."""
    group: int
    number: list[int]
    span_us: list[float]
    parts: dict[str, list[float]]
    """Part id → µs."""
    left_out: list[str]


class Kernel(msgspec.Struct, kw_only=True):
    """All launches of one kernel; `share` of the time of all kernels; times are of single launches."""

    name: str
    kind: str
    tensor_cores: bool
    count: int
    total_us: float
    mean_us: float
    median_us: float
    longest_us: float
    share: float
    ops: list[str]
    """The operators that launched it, the most frequent first."""


class DeviceCopy(msgspec.Struct, kw_only=True):
    """Copies of one kind from one place; `exposed_us`: while nothing was computed or communicated."""

    kind: str
    where: str
    op: str
    count: int
    total_us: float
    exposed_us: float
    size_bytes: int | None


class DeviceSync(msgspec.Struct, kw_only=True):
    """Calls in which the host waited for the device; `drained_us`: idle time of the device that followed from them."""

    name: str
    where: str
    op: str
    count: int
    total_us: float
    drained_us: float


class DeviceCollective(msgspec.Struct, kw_only=True):
    """Collectives of one kind in one group of ranks, as this device ran them; `exposed_us`: nothing was computed."""

    name: str
    group: str
    count: int
    total_us: float
    exposed_us: float
    size_bytes: int | None


class RankCollective(msgspec.Struct, kw_only=True):
    """Collectives of one kind in one group, summed over all recorded ranks; waiting and transfer add up to the total.

    `complete`: all ranks of the group were recorded; where not, waiting is a lower bound.
    """

    name: str
    group: str
    count: int
    total_us: float
    waiting_us: float
    transfer_us: float
    complete: bool


class DeviceRank(msgspec.Struct, kw_only=True):
    """One rank's partition; what collectives show of waiting is null where none was found on another rank too.

    waiting, transfer: in collectives, before and after the last rank came. suffered: waiting that nothing hides.
    caused: what other ranks suffered where this one came last.
    """

    rank: int
    device: str
    steps: int
    step_us: float | None
    span_us: float
    compute_us: float
    exposed_communication_us: float
    exposed_copy_us: float
    idle_us: float
    communication_us: float
    waiting_us: float | None = None
    transfer_us: float | None = None
    suffered_us: float | None = None
    caused_us: float | None = None
    came_last: int | None = None


class DeviceRanks(msgspec.Struct, kw_only=True):
    """All ranks that were recorded; `straggler` only where the evidence covers it, and `words` say why or why not."""

    world_size: int
    ranks: list[DeviceRank]
    straggler: int | None
    words: str
    calls: int = 0
    """Collectives that were found on several ranks."""
    unmatched: int = 0
    one_sided: int = 0
    """Broadcasts, sends and receives, which show no waiting."""
    alignment_us: float | None = None
    """Nine in ten ends of collectives are seen closer together than this once the clocks are aligned."""
    collectives: list[RankCollective] = []
    warnings: list[str] = []


class DeviceMemory(msgspec.Struct, kw_only=True):
    """Memory of the device over time: the largest value of each of many stretches, so that the peak is there.

    allocations, frees: by the caching allocator; `device_mallocs`: those of them that it had to ask the driver for.
    """

    time_us: list[float]
    """From the first event."""
    allocated_bytes: list[int]
    reserved_bytes: list[int]
    span_us: float
    on_host: bool
    """The trace holds the events of host memory only."""
    peak_bytes: int
    peak_us: float
    peak_reserved_bytes: int
    allocations: int
    frees: int
    churn_bytes: int
    """The sum of all allocations."""
    allocations_per_step: float | None
    churn_bytes_per_step: float | None
    device_mallocs: int
    device_frees: int
    device_malloc_us: float
    steps_us: list[float] = []
    """Starts of the steps within the span, on the same clock as `time_us`; none where they are too many to mark."""


class Device(msgspec.Struct, kw_only=True):
    """The device in the recording. compute + exposed communication + exposed copy + idle = span, exactly.

    The keys up to `idle_causes` (cause → µs, adding up to `idle_us`) are a contract; the rest may grow.
    `communication_us` is all communication, hidden or not; `busy_us` what is not idle.
    """

    span_us: float
    busy_us: float
    idle_us: float
    compute_us: float
    communication_us: float
    exposed_communication_us: float
    exposed_copy_us: float
    idle_causes: dict[str, float]
    name: str = ""
    rank: int | None = None
    trace: str = ""
    copy_us: float = 0.0
    drained_us: float = 0.0
    """Idle time that followed a synchronising call: the queue of kernels was empty."""
    tensor_core_us: float | None = None
    """Of the kernels that could use tensor cores; null where the device has none or there are no such kernels."""
    tensor_core_able_us: float = 0.0
    """Kernels that could use tensor cores: matmul, convolution, attention."""
    parts: list[DevicePart] = []
    steps: DeviceSteps | None = None
    timeline: StepTimeline | None = None
    queue: dict[str, float | None] = {}
    """``median_delay_us``, ``p90_delay_us``: from launch to start; ``deepest``: most kernels waiting at once;
    ``unlaunched``: device rows without a recorded launch."""
    kernels: list[Kernel] = []
    kernels_left_out: int = 0
    kernels_left_out_us: float = 0.0
    copies: list[DeviceCopy] = []
    syncs: list[DeviceSync] = []
    collectives: list[DeviceCollective] = []
    ranks: DeviceRanks | None = None
    memory: DeviceMemory | None = None
    host: dict[str, float | None] = {}
    """A step's ``operators``, ``launches``, and ``data_us``, ``sync_us``, ``launch_us``, ``operators_us``,
    ``python_us``, which add up to ``step_us``."""
    warnings: list[str] = []
