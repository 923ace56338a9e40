"""What passes before training runs at its speed, by cause: imports, the script's lines, compiling, first steps."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from slowprobe.run.record import Site
from slowprobe.timeline.hotspots import UserCode
from slowprobe.timeline.labels import Labels
from slowprobe.timeline.partition import Partition
from slowprobe.timeline.recording import BOUNDARY, Frame, Recording
from slowprobe.timeline.step_stats import StepStats
from slowprobe.timeline.steps import WARM_UP_STEPS

_IMPORTING = "<frozen importlib._bootstrap>"
_DYNAMO = "torch/_compile.py"  # imports torch._dynamo when the first optimizer is made or used
IMPORTS, DYNAMO, OWN_CODE, REST = "imports", "torch._dynamo, for the first optimizer", "the script's own code", "other"
COMPILING, FIRST_STEPS = "compiling", "the first steps, beyond a usual one"


@dataclass(frozen=True)
class StartUp:
    """Seconds by part, slowprobe's own taken out; they add up to `seconds`."""

    seconds: float
    run_s: float
    """The whole run, without slowprobe's own time."""
    parts: dict[str, float]
    lines: dict[tuple[str, Site], float]
    """The user's lines by the part they belong to, from stack samples."""
    calls: dict[Site, float]
    """The user's lines on the way to the script's own code, with what they call; outer ones come first."""

    @property
    def share(self) -> float:
        """Of the run."""
        return self.seconds / self.run_s if self.run_s else 0.0


def start_up(recording: Recording, labels: Labels, split: Partition, stats: StepStats) -> StartUp:
    """Divide the time before the loop by its stack samples, and add what the first steps and compiling take."""
    is_user = UserCode(recording.run.manifest)
    sampled: dict[str, int] = defaultdict(int)
    lines: dict[tuple[str, Site], int] = defaultdict(int)
    calls: dict[tuple[int, Site], int] = defaultdict(int)
    for row in recording.sampled.rows:
        if row.end_ns > labels.loop_start_ns and row.key != BOUNDARY:
            continue
        stack = recording.sampled.stack(row.stack)
        part, frame = _cause(stack, is_user)
        sampled[part] += row.wall_ns
        if frame is not None:
            lines[part, Site(frame.file, frame.line, frame.function)] += row.wall_ns
        mine = [frame for frame in stack if is_user(frame.file)] if part == OWN_CODE else []
        for depth, at in enumerate(mine):
            calls[depth, Site(at.file, at.line, at.function)] += row.wall_ns
    before_s = split.scope_s("startup") - split.bucket_s("slowprobe", "startup")
    whole = sum(sampled.values())
    per_ns = before_s / whole if whole else 0.0
    parts = {part: ns * per_ns for part, ns in sampled.items()} or {REST: before_s}
    parts[COMPILING] = sum(split.bucket_s("compile", scope) for scope in ("step", "off_step"))
    first = stats.wall_ms[:WARM_UP_STEPS] - stats.parts.get("compile", np.zeros(len(stats.wall_ms)))[:WARM_UP_STEPS]
    parts[FIRST_STEPS] = float(np.maximum(first - stats.median_ms(), 0.0).sum()) / 1000
    parts = {part: seconds for part, seconds in parts.items() if seconds > 0}
    return StartUp(
        seconds=sum(parts.values()),
        run_s=split.wall_s - split.bucket_s("slowprobe"),
        parts=parts,
        lines={place: ns * per_ns for place, ns in lines.items()},
        calls={site: ns * per_ns for (_, site), ns in sorted(calls.items(), key=lambda call: call[0][0])},
    )


def _cause(stack: tuple[Frame, ...], is_user: UserCode) -> tuple[str, Frame | None]:
    """The part a sample belongs to, and the user's line that leads there."""
    importing = next((index for index, frame in enumerate(stack) if frame.file == _IMPORTING), None)
    if importing is None:
        innermost = is_user.innermost(stack)
        return (REST, None) if innermost is None else (OWN_CODE, stack[innermost])
    dynamo = any(frame.file.endswith(_DYNAMO) for frame in stack)
    # A module of the user's own may be what is imported: the line that runs in it says more.
    innermost = is_user.innermost(stack)
    below = stack[innermost + 1 :] if innermost is not None else stack
    if innermost is not None and not any(frame.file == _IMPORTING for frame in below):
        return OWN_CODE, stack[innermost]
    return DYNAMO if dynamo else IMPORTS, None if innermost is None else stack[innermost]
