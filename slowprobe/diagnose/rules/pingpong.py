"""Tensors go to the host and come back within the same step.

What it is: .cpu() for one operation and .to(device) after it; activations, parameters or optimizer state that are
offloaded to the host.

Why it is slow: both ways lead over the link, and what the host computes in between it does with the device waiting.

How it is seen: copies to the host of 256 KiB and more, and as many copies of exactly that size back, later in the same
step. The recorded graph is replayed without either, and without the wait of the host for the first; what the host does
in between stays.

Stays quiet when: they are exposed for less than 3 % of the time; nothing marks the steps; or what comes back has
another size. It takes equal sizes for the same tensor, which a trace cannot prove.

Fix: do the operation on the device. Where it is offloading on purpose: keep on the device what fits, and let the copies
run on a stream of their own.

Sources: OneTrainer #1608 (statistics of the VAE, to the host and back in each step); PyTorch documentation of
save_on_cpu.
"""

from __future__ import annotations

from slowprobe.diagnose.device_parts import on_device, per_step, places, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._copies import MIN_EXPOSED
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster, NoSync, OverlapCopies
from slowprobe.timeline.loop_changes import GONE

OFTEN = 0.5  # a step

RULE = Rule(
    title="Tensors go to the host and back in each step",
    bottleneck="transfer",
    needs=("device", "round_trips", "replay"),
)


def check(run: Evidence) -> Answer:
    """Look for copies that come back."""
    return on_device(run, _judge)


def _judge(run: Evidence, facts: DeviceFacts) -> Diagnosis | Passed | NotChecked:
    if not len(facts.steps):
        return NotChecked("nothing marks the steps")
    trips = [trip for trip in run.round_trips if per_step(facts, trip.count) >= OFTEN]
    if not trips:
        return Passed("nothing of 256 KiB or more goes to the host and comes back in the same step")
    exposed = share(facts, sum(trip.exposed_ns for trip in trips))
    if exposed < MIN_EXPOSED:
        return Passed(f"copies to the host and back hold up the device {exposed:.1%} of the time")
    count = per_step(facts, sum(trip.count for trip in trips))
    moved = per_step(facts, sum(2 * trip.size_bytes * trip.count for trip in trips))
    return Diagnosis(
        summary=(
            f"{count:.1f} times a step a tensor goes to the host and one of the same size comes back, "
            f"{moved / 1e6:.1f} MB in all; for {exposed:.0%} of the time the device does nothing else."
        ),
        where=places((trip.site, trip.exposed_ns) for trip in trips),
        fix=Fix(
            text=(
                "Do on the device what is done on the host in between. If this is offloading on purpose, keep on the "
                "device what fits, and copy on a stream of its own."
            )
        ),
        changes=[
            Faster([row for trip in trips for row in trip.out_rows], GONE),
            NoSync([call for trip in trips for call in trip.out_calls]),
            OverlapCopies([row for trip in trips for row in trip.back_rows], GONE),
        ],
        evidence={
            "round trips a step": round(count, 2),
            "bytes a step": round(moved),
            "exposed, of the time": round(exposed, 4),
            "sizes": ", ".join(str(trip.size_bytes) for trip in trips[:5]),
        },
    )
