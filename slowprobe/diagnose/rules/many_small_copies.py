"""Many small tensors are copied to the device one by one.

What it is: a dictionary of dozens of tensors, numbers turned into tensors, masks and positions, each with a copy of its
own.

Why it is slow: a copy costs the host and the driver some 10 µs whatever its size; 64 KiB take 3 µs on the link.

How it is seen: more than twenty copies to the device a step with less than 64 KiB in the mean. The recorded graph is
replayed with all but one of a step's launches gone.

Stays quiet when: there are fewer, they are larger, or they and their launches take less than 3 % of the time.

Fix: pack them into one tensor on the host, send that, and take views of it; register constants as buffers once.

Sources: TensorFlow profiler and XProf (combine small chunks); CUDA best practices guide (batch small transfers).
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import on_device, per_step, places, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.diagnose.rules._copies import copies_of, evidence, rows_of
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import OverlapCopies
from slowprobe.timeline.loop_changes import Factor

MANY, SMALL_BYTES = 20.0, 64 * 1024
LAUNCH_NS = 10_000  # of the host and the driver for each; measured by others as 5 to 15 µs
MIN_SHARE = 0.03  # of the time

RULE = Rule(title="Many small copies to the device", bottleneck="transfer", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Count the copies and their sizes."""
    return on_device(run, _judge)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed:
    copies = copies_of(facts, "h2d_pageable", "h2d_pinned")
    number = sum(copy.count for copy in copies)
    count = per_step(facts, number)
    if count <= MANY:
        return Passed(f"{count:.0f} copies to the device a step")
    mean = sum(copy.size_bytes for copy in copies) / number
    if mean > SMALL_BYTES:
        return Passed(f"{count:.0f} copies to the device a step, of {mean / 1024:.0f} KiB each")
    cost = share(facts, number * LAUNCH_NS + sum(copy.exposed_ns for copy in copies))
    if cost < MIN_SHARE:
        return Passed(f"{count:.0f} small copies a step take {cost:.1%} of the time")
    left = 1 / count
    return Diagnosis(
        summary=(
            f"{count:.0f} copies a step carry {mean / 1024:.1f} KiB each: what they cost is the calls, not the bytes."
        ),
        where=places((copy.site, copy.count) for copy in copies),
        fix=Fix(
            text="Pack the tensors of a batch into one, send it with a single copy, and take views of it on the device."
        ),
        changes=[OverlapCopies(rows_of(copies), Factor(left, left, 0.5))],
        evidence=evidence(facts, copies, count),
    )
