"""Now and then the device stands still for long: an evaluation, a checkpoint, a restart of the loader.

What it is: a few idle gaps that are long beside all others, between steps or at their edges.

Why it is slow: each is short in a trace of a few steps and comes again a thousand times in a training.

How it is seen: device-wide gaps of half a second or more, or five times a step, and what the host did in them (data,
Python, outside of any step). The recorded graph is replayed without them.

Stays quiet when: there is no such gap, or together they take less than 5 % of the recording.

Fix: what the host did there: keep workers between epochs, save from another thread, evaluate less often.

Sources: Nsight Systems (gpu_gaps, 500 ms); SageMaker Debugger (StepOutlier).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slowprobe.diagnose.device_parts import on_device, places, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.device.idle import IDLE_CAUSES
from slowprobe.timeline.graph.changes import NoGap

LONG_NS = 500_000_000  # Nsight's threshold
TIMES = 5.0  # the median step; a gap of one step can be an ordinary wait
MIN_SHARE = 0.05  # of the recording
REMOVABLE = ("data", "python", "off_step", "allocator")
DID = {
    "data": "the host waited for data",
    "python": "the host was in Python",
    "off_step": "the host worked between steps",
    "allocator": "the allocator was at work",
}

RULE = Rule(title="The device stands still between steps", bottleneck="host", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Find the long gaps."""
    return on_device(run, _judge)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed:
    lengths = facts.gaps.end_ns - facts.gaps.start_ns
    steps = facts.steps.end_ns - facts.steps.start_ns
    least = min(LONG_NS, TIMES * float(np.median(steps))) if len(steps) else LONG_NS
    long = lengths >= least
    total = int(lengths[long].sum())
    if share(facts, total) < MIN_SHARE:
        return Passed(f"gaps of {least / 1e6:.0f} ms and more take {share(facts, total):.1%} of the time")
    by_cause = {
        cause: int(lengths[long & (facts.gaps.cause == number)].sum()) for number, cause in enumerate(IDLE_CAUSES)
    }
    cause = max(REMOVABLE, key=lambda each: by_cause[each])
    if not by_cause[cause]:
        return Passed("the long gaps are none of the host's own work")
    return Diagnosis(
        summary=(
            f"{int(long.sum())} gaps of up to {int(lengths[long].max()) / 1e6:.0f} ms take "
            f"{share(facts, total):.0%} of the time; in most of it {DID[cause]}."
        ),
        where=places(
            (site, float(length))
            for site, length, is_long in zip(facts.gaps.site, lengths, long, strict=True)
            if is_long
        ),
        fix=Fix(
            text=(
                "Keep what comes between the steps out of the loop's way: persistent workers, a checkpoint written by "
                "another thread, evaluation and logging less often."
            )
        ),
        changes=[NoGap(cause)],
        evidence={
            "gaps": int(long.sum()),
            "longest, ms": round(int(lengths[long].max()) / 1e6, 1),
            "of the time": round(share(facts, total), 4),
            **{f"of it {name}, ms": round(ns / 1e6, 2) for name, ns in by_cause.items() if ns},
        },
    )
