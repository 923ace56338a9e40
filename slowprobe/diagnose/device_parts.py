"""What rules about the device share: times as parts of the steps, places in source code, and who is asked at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Where
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.timeline.device.classes import CLASSES
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.device.kernels import KernelStat

_FRAME = re.compile(r"^(?P<file>.+)\((?P<line>\d+)\): (?P<function>.+)$")
MIN_BUSY = 0.01  # of the span: below, the device has next to nothing to do, and its kernels say nothing

Judge = Callable[[Any, DeviceFacts], Diagnosis | Passed | NotChecked | NotApplicable]


def on_device(run: Evidence | TraceEvidence, judge: Judge) -> Answer:
    """What `judge` says of the device that the run used; not applicable where it used none."""
    facts = run.device
    if facts is None:
        return NotApplicable("no accelerator was at work")
    if facts.partition.busy_ns < MIN_BUSY * facts.partition.span_ns:
        return NotChecked("the device was hardly at work in what was recorded")
    return judge(run, facts)


def stretch_ns(facts: DeviceFacts) -> int:
    """Recorded steps; where nothing marks them, everything from the first device row to the last."""
    return sum(each.span_ns for each in facts.step_partitions) or facts.partition.span_ns


def per_step(facts: DeviceFacts, count: float) -> float:
    """How many of something there are a step, given how many there are in the recording."""
    if not len(facts.steps):
        return count
    whole = facts.partition.span_ns
    return count * (stretch_ns(facts) / whole if whole else 1.0) / len(facts.steps)


def share(facts: DeviceFacts, time_ns: float) -> float:
    """Of the recording."""
    return time_ns / facts.partition.span_ns if facts.partition.span_ns else 0.0


def class_share(facts: DeviceFacts, *classes: str) -> float:
    """The part of the recording in which kernels of these classes ran."""
    assert all(each in CLASSES for each in classes)
    return share(facts, sum(facts.partition.by_class.get(each, 0) for each in classes))


def kernels_of(facts: DeviceFacts, *classes: str) -> list[KernelStat]:
    """The kernels of these classes, the dearest first."""
    return [kernel for kernel in facts.kernels if kernel.class_name in classes]


def part_of_kernels(kernels: Sequence[KernelStat], fits: Callable[[KernelStat], bool]) -> float:
    """The part of their time that belongs to those which fit."""
    whole = sum(kernel.total_ns for kernel in kernels)
    return sum(kernel.total_ns for kernel in kernels if fits(kernel)) / whole if whole else 0.0


def places(weighted: Iterable[tuple[str | None, float]]) -> list[Where]:
    """Places of a finding from frames such as ``train.py(12): step`` with their weights, the heaviest first."""
    sums: dict[tuple[str, int, str], float] = {}
    for text, weight in weighted:
        found = _FRAME.match(text or "")
        if found is not None:
            key = found["file"], int(found["line"]), found["function"]
            sums[key] = sums.get(key, 0.0) + weight
    whole = sum(sums.values()) or 1.0
    ordered = sorted(sums.items(), key=lambda entry: (-entry[1], entry[0]))[:5]
    return [Where(*key, round(weight / whole, 3)) for key, weight in ordered]


def host_bound_ns(facts: DeviceFacts) -> int:
    """Idle time in which the host had not launched anything: Python, operators, launch calls, the allocator."""
    return sum(facts.gaps.by_cause.get(cause, 0) for cause in ("python", "launch", "allocator"))
