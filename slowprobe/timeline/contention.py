"""Other Python threads at work beside the training thread: whose lines, how much CPU, and whether cores were short."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from slowprobe.run.record import Site
from slowprobe.run.sample_records import OtherThreads
from slowprobe.timeline.hotspots import UserCode
from slowprobe.timeline.labels import Labels
from slowprobe.timeline.recording import Recording


@dataclass(frozen=True)
class OtherWork:
    """What other threads did inside the loop."""

    cpu_s: float
    lines: list[tuple[Site, float]]
    """The user's innermost lines by CPU seconds, most first."""
    function: str
    """The innermost function most of it was in, whoever's."""
    run_delay_s: float | None
    """The training thread was ready and had no core, in the same stretches; None where that is not counted."""


def other_work(recording: Recording, labels: Labels, is_user: UserCode) -> OtherWork | None:
    """Of the recorded threads; None where none was seen at work in the loop."""
    lines: dict[Site, float] = defaultdict(float)
    functions: dict[str, float] = defaultdict(float)
    delay_s: float | None = 0.0
    for record in recording.run.of(OtherThreads):
        if record.end_ns <= labels.loop_start_ns or record.start_ns >= labels.loop_end_ns:
            continue
        length = max(1, record.end_ns - record.start_ns)
        inside = min(record.end_ns, labels.loop_end_ns) - max(record.start_ns, labels.loop_start_ns)
        share = inside / length  # of a stretch that begins before the loop, or ends after it
        delay_s = None if delay_s is None or record.run_delay_ns < 0 else delay_s + share * record.run_delay_ns / 1e9
        for number, _, cpu_ns in record.rows:
            stack = recording.sampled.stack(number)
            if not stack:
                continue
            functions[stack[-1].function] += share * cpu_ns / 1e9
            index = is_user.innermost(stack)
            if index is not None:
                frame = stack[index]
                lines[Site(frame.file, frame.line, frame.function)] += share * cpu_ns / 1e9
    total = sum(functions.values())
    if not total:
        return None
    ordered = sorted(lines.items(), key=lambda item: (-item[1], item[0].file, item[0].line))
    return OtherWork(total, ordered, max(sorted(functions), key=lambda name: functions[name]), delay_s)
