"""The device waits for the host to launch its kernels: they are short and many.

What it is: a step of hundreds or thousands of kernels of a few µs each, every one launched by Python and the
dispatcher in more time than it runs.

Why it is slow: a launch costs the host some 5 to 50 µs with all that Python and the framework do around it. A device
that is done before the next launch comes is idle, however fast it is.

How it is seen: idle time of the device while the launching thread was in Python, operators or launch calls, outside
synchronisations; kernels that start as soon as they are launched (an empty queue); their median length. The recorded
graph is replayed with the launches taken out of a captured graph.

Saving: replayed with the launches of kernels (batches still have to be copied, and other ranks to be asked) at 1 µs
each at best, 3 expected, and 10 at worst (a compiled step that still launches kernel by kernel, with nothing in
between).

Stays quiet when: such idle time is less than 15 % of the recording; most kernels wait in a queue; kernels are long; or
synchronisations drain the queue (item-sync, implicit-sync, explicit-sync).

Fix: a larger batch where memory is free; torch.compile(model, mode="reduce-overhead"), which captures CUDA graphs;
fused optimizers.

Sources: PyTorch CUDA graphs documentation; HolisticTraceAnalysis (queue length, host wait); XProf (kernel launch 15 %).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slowprobe.diagnose.device_parts import host_bound_ns, on_device, per_step, places, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.device.rows import COMMUNICATION, COPIES
from slowprobe.timeline.graph.changes import FewerLaunches

MIN_IDLE = 0.15  # of the recording; XProf's threshold for kernel launches
EMPTY_NS = 20_000  # from the launch's end to the start: nothing was queued before it
MIN_EMPTY = 0.5  # of the kernels; where most of them queue, the device is the slower side
SHORT_NS = 50_000  # a launch with Python and the dispatcher takes 5 to 50 µs: longer kernels hide theirs
BEST_NS, EXPECTED_NS, WORST_NS = 1_000, 3_000, 10_000  # see "Saving" above

_NOT_CAPTURED = tuple(kind for kind in COPIES if kind not in ("none", "d2d"))

RULE = Rule(title="The device waits for kernels to be launched", bottleneck="host", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Compare what the host needs to launch with what the device needs to run."""
    return on_device(run, _judge)


def _judge(run: Evidence, facts: DeviceFacts) -> Diagnosis | Passed | NotChecked:
    idle, delay = host_bound_ns(facts), facts.queue.delay_ns
    known = delay[~np.isnan(delay)]
    if not len(known) or not facts.kernels:
        return NotChecked("the trace does not say what launched its kernels")
    idle_share = share(facts, idle)
    if idle_share < MIN_IDLE:
        return Passed(f"the device waits for launches {idle_share:.1%} of the time")
    empty = float((known < EMPTY_NS).mean())
    if empty < MIN_EMPTY:
        return Passed(f"{1 - empty:.0%} of the kernels wait in a queue: the host is ahead of the device")
    lengths = facts.rows.end_ns - facts.rows.start_ns
    median_ns = float(np.median(lengths))
    if median_ns > SHORT_NS:
        return Passed(f"kernels take {median_ns / 1e3:.0f} µs each, longer than a launch: other work holds up the host")
    launches = per_step(facts, int(capturable(facts).sum()))
    return Diagnosis(
        summary=(
            f"{launches:.0f} launches a step of kernels that take {median_ns / 1e3:.1f} µs (median): the device is "
            f"idle {idle_share:.0%} of the time because nothing has been launched yet."
        ),
        where=places(zip(facts.gaps.site, (facts.gaps.end_ns - facts.gaps.start_ns).tolist(), strict=True)),
        fix=Fix(
            text=(
                'Launch less, or by the graph: torch.compile(model, mode="reduce-overhead"), or a batch twice as large '
                "where memory is free: the same launches then do twice the work."
            ),
            diff='+model = torch.compile(model, mode="reduce-overhead")',
        ),
        changes=[FewerLaunches(BEST_NS, EXPECTED_NS, WORST_NS, facts.rows.row[capturable(facts)].tolist())],
        evidence={
            "device idle for want of launches": round(idle_share, 4),
            "launches a step": round(launches, 1),
            "median kernel, µs": round(median_ns / 1e3, 2),
            "kernels that found an empty queue": round(empty, 3),
            "host: Python, ms a step": round(facts.host.python_ns / 1e6, 3),
            "host: operators, ms a step": round(facts.host.op_ns / 1e6, 3),
            "host: launch calls, ms a step": round(facts.host.launch_ns / 1e6, 3),
        },
    )


def capturable(facts: DeviceFacts) -> npt.NDArray[np.bool_]:
    """Which device rows a captured graph would launch: all but collectives and copies from and to the host."""
    kinds = [COPIES.index(kind) for kind in _NOT_CAPTURED]
    return np.asarray((facts.rows.kind != COMMUNICATION) & ~np.isin(facts.rows.copy_kind, kinds))
