"""The device waits for batches, as far as a trace can tell.

What it is: in a good part of each step the training thread is inside the loader's __next__, and the device has nothing
to do meanwhile.

Why it is slow: the device is the dear part; it should never wait for a batch that processes beside it could have made.

How it is seen: idle time of the device while the host asks for data; by the loader's name in the trace, whether worker
processes make the batches or the training process itself. The recorded graph is replayed with the waiting shorter.

Saving: without workers the wait is the making of a batch: divided among as many workers as make it fit into the rest of
the step, all of it hides behind the step at best, a tenth of it is expected to remain, and half at worst. With workers
it is a stated range: none remains at best, half is expected.

Stays quiet when: the device waits for data less than 5 % of the time. A trace does not say why batches are late:
slowprobe profile does, line by line.

Fix: DataLoader(..., num_workers=n, persistent_workers=True, pin_memory=True).

Sources: PyTorch Performance Tuning Guide (asynchronous data loading); TensorBoard plugin (5 %).
"""

from __future__ import annotations

import math
from typing import Any

from slowprobe.diagnose.device_parts import on_device, per_step, places, stretch_ns
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.device.idle import IDLE_CAUSES
from slowprobe.timeline.graph.changes import NoGap
from slowprobe.timeline.loop_changes import Factor

MIN_IDLE = 0.05  # of the time; the TensorBoard plugin's threshold
ALONE, BESIDE = Factor(0.0, 0.1, 0.5), Factor(0.0, 0.5, 0.9)  # see "Saving" above
MOST_WORKERS = 16  # more are seldom worth their memory; slowprobe profile finds the number

RULE = Rule(
    title="The device waits for batches", bottleneck="input", needs=("device", "replay", "recorded_by_profiler")
)


def check(run: Evidence) -> Answer:
    """Look at the idle time in which the host asks for data."""
    if not run.recorded_by_profiler:
        return NotApplicable("slowprobe recorded the loaders themselves: see the other input rules")
    return on_device(run, _judge)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed:
    waited_ns = sum(each.get("data", 0) for each in facts.step_idle) or facts.gaps.by_cause.get("data", 0)
    idle = waited_ns / max(stretch_ns(facts), facts.partition.span_ns)  # a host that runs ahead has shorter steps
    if idle < MIN_IDLE:
        return Passed(f"the device waits for data {idle:.1%} of the time")
    alone = any("SingleProcess" in name for name in facts.operators)
    data_ns, step_ns = facts.host.data_ns, facts.host.step_ns
    rest_ns = max(step_ns - data_ns, per_step(facts, facts.partition.busy_ns), 1.0)  # what the workers have for a batch
    workers = min(MOST_WORKERS, math.ceil(data_ns / rest_ns)) if alone else None
    waits = facts.gaps.cause == IDLE_CAUSES.index("data")
    lengths = facts.gaps.end_ns - facts.gaps.start_ns
    return Diagnosis(
        title="The training process makes its batches itself" if alone else "",
        summary=(
            f"The device is idle {idle:.0%} of the time because the host waits for a batch ({data_ns / 1e6:.1f} of "
            f"{step_ns / 1e6:.1f} ms a step); "
            + ("no worker process makes one meanwhile (num_workers=0)." if alone else "the workers are too slow.")
        ),
        where=places(
            (site, float(length)) for site, length, wait in zip(facts.gaps.site, lengths, waits, strict=True) if wait
        ),
        fix=Fix(
            text=(
                f"Give the DataLoader {workers} worker{'s' if workers != 1 else ''}, and keep them between epochs."
                if alone
                else "Give the DataLoader more workers, or make its batches cheaper: slowprobe profile names the line."
            ),
            diff=f"+DataLoader(..., num_workers={workers}, persistent_workers=True)" if alone else "",
        ),
        changes=[NoGap("data", ALONE if alone else BESIDE)],
        basis="stated range",
        evidence={
            "device idle for want of data": round(idle, 4),
            "waiting for a batch, ms a step": round(data_ns / 1e6, 3),
            "step, ms": round(step_ns / 1e6, 3),
            "batches made by": "the training process" if alone else "workers",
        },
    )
