"""Ranks exchange gradients while nothing is computed.

What it is: collectives that run after backward instead of beside it, or take longer than what could hide them.

Why it is slow: the device waits for the network.

How it is seen: the time of communication kernels in which no other kernel ran, and, with several ranks, how much of it
is waiting for the last rank (straggler) and not transfer. The recorded graph is replayed with the exposed part smaller.

Saving: a stated range. Where all of it can be hidden 0 remains, 0.5 is expected, 0.9 at worst (the network is the
limit).

Stays quiet when: exposed communication takes less than 10 % of the time, or most of it is waiting for another rank.

Fix: a larger batch or gradient accumulation with no_sync(); gradient_as_bucket_view=True and larger buckets
(bucket_cap_mb); a bf16 compression hook; for FSDP prefetching.

    model.register_comm_hook(None, torch.distributed.algorithms.ddp_comm_hooks.default_hooks.bf16_compress_hook)

Sources: PyTorch DDP notes; HolisticTraceAnalysis (overlap); TensorBoard plugin (10 %).
"""

from __future__ import annotations

from slowprobe.diagnose.device_parts import on_device, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import Factor

MIN_EXPOSED = 0.10  # of the time
WAITING = 0.5  # of the time in collectives: what the network carries is the smaller part
REMAINING = Factor(0.0, 0.5, 0.9)  # see "Saving" above

RULE = Rule(title="Communication is not hidden", bottleneck="communication", needs=("device", "ranks", "replay"))


def check(run: Evidence) -> Answer:
    """Look at communication beside which nothing runs."""
    return on_device(run, _judge)


def _judge(run: Evidence, facts: DeviceFacts) -> Diagnosis | Passed | NotApplicable:
    split = facts.partition
    if not split.communication_ns:
        return NotApplicable("nothing is exchanged with other ranks")
    exposed = share(facts, split.exposed_communication_ns)
    if exposed < MIN_EXPOSED:
        return Passed(f"exposed communication takes {exposed:.1%} of the time")
    waiting = _waiting_share(run, facts)
    if waiting > WAITING:
        return Passed(f"{waiting:.0%} of the time in collectives is waiting for another rank to come: see straggler")
    hidden = 1 - split.exposed_communication_ns / split.communication_ns
    left = Factor(*(hidden + (1 - hidden) * each for each in (REMAINING.best, REMAINING.expected, REMAINING.worst)))
    most = max(facts.collectives, key=lambda each: each.exposed_ns, default=None)
    return Diagnosis(
        summary=(
            f"For {exposed:.0%} of the time the device only exchanges data with other ranks; {hidden:.0%} of the "
            f"communication is hidden{f'; most of the rest is {most.name}' if most is not None else ''}."
        ),
        where=[],
        fix=Fix(
            text=(
                "Exchange less, or beside backward: gradient accumulation under no_sync(), a bf16 compression hook, "
                "gradient_as_bucket_view=True."
            ),
            diff="+model = DistributedDataParallel(model, gradient_as_bucket_view=True, bucket_cap_mb=100)",
        ),
        changes=[Faster("communication", left)],
        basis="stated range",
        evidence={
            "exposed, of the time": round(exposed, 4),
            "hidden, of the communication": round(hidden, 4),
            "collectives": ", ".join(f"{each.name} {each.count}x" for each in facts.collectives[:5]),
        },
    )


def _waiting_share(run: Evidence | TraceEvidence, facts: DeviceFacts) -> float:
    """Of this rank's time in collectives, until the last rank had come; 0 where other ranks are not known."""
    try:
        rows = run.ranks.rows
    except LookupError:
        return 0.0
    row = next((each for each in rows if each.rank == facts.rank), None)
    if row is None or row.waiting_ns is None or row.transfer_ns is None:
        return 0.0
    return row.waiting_ns / max(1, row.waiting_ns + row.transfer_ns)
