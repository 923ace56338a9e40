"""The result document: everything a renderer may show, as ``report.json`` holds it (schema ``slowprobe.report/1``)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from slowprobe.diagnose.finding import Bottleneck, Confidence, Finding, Outcome, Range
from slowprobe.report.device_document import Device
from slowprobe.report.loader_document import Loader, LoaderWorker, Transform
from slowprobe.report.resource_document import Resources
from slowprobe.report.timeline_document import StepTimeline

__all__ = ["SCHEMA", "Loader", "LoaderWorker", "Transform"]

SCHEMA = "slowprobe.report/1"

Scope = Literal["step", "off_step", "startup", "shutdown"]


class RunInfo(msgspec.Struct, kw_only=True):
    """Which run this is; `exit` says in words how it ended (``exited with 0``, ``killed by SIGKILL``, …)."""

    command: str
    script: str
    started_at: str
    duration_s: float
    python: str
    torch: str
    host: dict[str, Any]
    devices: list[str]
    world_size: int
    exit_code: int | None
    exit: str


class Verdict(msgspec.Struct, kw_only=True):
    """The answer in one sentence; `share` is the part of loop time the bottleneck costs, `speedup` the joint replay."""

    bottleneck: Bottleneck
    headline: str
    share: float
    speedup: Range
    confidence: Confidence = "high"
    """How far this is to be believed; the headline says what speaks against it."""


class OutlierCause(msgspec.Struct, kw_only=True):
    """Steps that take far longer than the others, and most of it for one thing; `extra_s` is beyond the median."""

    label: str
    steps: int
    extra_s: float
    longest_ms: float


class Steps(msgspec.Struct, kw_only=True):
    """Statistics of the training steps; times of steady steps only, in ms."""

    unit: str
    count: int
    steady_count: int
    median_ms: float
    mean_ms: float
    p90_ms: float
    p99_ms: float
    first_ms: float
    outliers: list[OutlierCause] = []


class StepSeries(msgspec.Struct, kw_only=True):
    """The recorded steps over time, for the chart: one entry a step in each list.

    `parts` maps bucket ids to milliseconds a step; `steady` is False for warm-up, compile and window steps.
    """

    index: list[int]
    start_s: list[float]
    wall_ms: list[float]
    steady: list[bool]
    parts: dict[str, list[float]]
    thinned: bool


class Bucket(msgspec.Struct, kw_only=True):
    """One cell of the partition of the wall clock."""

    id: str
    label: str
    seconds: float
    share: float
    """Of the wall clock."""
    scope: Scope


class Time(msgspec.Struct, kw_only=True):
    """The wall identity: bucket seconds add up to `wall_s`; `loop_s`: step and off_step, without slowprobe."""

    wall_s: float
    loop_s: float
    unaccounted_share: float
    buckets: list[Bucket]


class Hotspot(msgspec.Struct, kw_only=True):
    """A user's source line with the time spent in it and below it, by bucket; `off_cpu_share` of it was waiting."""

    file: str
    line: int
    function: str
    text: str
    seconds: float
    share: float
    off_cpu_share: float
    bucket: str


class Flame(msgspec.Struct, kw_only=True):
    """Stack samples of the loop as a tree, one row a line of code; the first is the loop, callers before calls.

    parent: a row, −1 for the first. seconds: in the line and what it calls. text: of the user's lines. bucket: the part
    of the step that most of it belongs to. What takes less than 0.3 % of the loop is left out.
    """

    function: list[str]
    file: list[str]
    line: list[int]
    text: list[str]
    users: list[bool]
    parent: list[int]
    seconds: list[float]
    bucket: list[str]


class OpClass(msgspec.Struct, kw_only=True):
    """CPU operators of one kind in the window: self time a step."""

    name: str
    ms_per_step: float
    count_per_step: float
    share: float


class ReachLayer(msgspec.Struct, kw_only=True):
    """One product or convolution, forward and backward. bf16, channels_last: what of its time that edit leaves."""

    name: str
    ms_per_step: float
    gflops: float
    alone_gflops: float | None
    """After the run, with nothing around it."""
    bf16: float | None
    channels_last: float | None


class Reach(msgspec.Struct, kw_only=True):
    """Matrix products and convolutions on the CPU: `share` of a step, their rate, and the best rate measured here."""

    share: float
    gflops: float
    reach_gflops: float | None
    text: str
    layers: list[ReachLayer]
    remains: list[str]
    """What may still be won, a sentence each with its range and whether that is measured."""


class Window(msgspec.Struct, kw_only=True):
    """What the torch.profiler window showed, on the CPU side."""

    steps: int
    events: int
    trace: str | None
    bound: str
    """``dispatch-bound``, ``op-bound``, ``python-bound`` or ``mixed``, in words with the figures."""
    ops_per_step: float
    median_op_us: float
    python_between_ops_share: float
    classes: list[OpClass]
    top_ops: list[OpClass]
    reach: Reach | None = None
    timeline: StepTimeline | None = None
    """One profiled step, operator by operator."""


class Overhead(msgspec.Struct, kw_only=True):
    """What slowprobe itself cost: `share` of the wall clock, windows included."""

    share: float
    per_step_us: float
    windows_s: float
    text: str


class Snippet(msgspec.Struct, kw_only=True):
    """Lines of the user's source around a place: (line number, text, is the line itself)."""

    file: str
    function: str
    lines: list[tuple[int, str, bool]]


class Document(msgspec.Struct, kw_only=True):
    """The whole report as data. The keys up to `overhead` are a contract; the rest may grow."""

    schema: str
    slowprobe_version: str
    run: RunInfo
    verdict: Verdict
    steps: Steps | None
    time: Time
    loaders: list[Loader]
    findings: list[Finding]
    device: Device | None
    outcomes: dict[str, Outcome]
    overhead: Overhead
    series: StepSeries | None = None
    timeline: StepTimeline | None = None
    """The typical step as it was recorded on the host."""
    hotspots: list[Hotspot] = []
    flame: Flame | None = None
    window: Window | None = None
    resources: Resources | None = None
    snippets: dict[str, Snippet] = {}
    """Keyed ``file:line``, for every place a finding names."""
    notes: list[str] = []
    """Things the reader should know: skipped windows, failed probes, few steps, noisy machine."""
    advice: list[str] = []
    """Where no training step was seen: what was seen and what to try."""
