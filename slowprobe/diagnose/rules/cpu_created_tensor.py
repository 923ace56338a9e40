"""Tensors are filled on the host and then copied to the device, which could have filled them itself.

What it is: torch.zeros(n).to(device), torch.randn(shape).cuda(), torch.arange(n).to(x.device) in the step.

Why it is slow: the host fills the memory, copies it into pinned memory and, unless it is pinned, waits; a kernel that
fills as much takes a few µs and is queued like any other.

How it is seen: an operator that fills a tensor (zeros, ones, full, rand, randn, randint, randperm, arange, linspace,
eye) and launches nothing, with a copy to the device right behind it, of the same size as far as shapes were recorded.
The recorded graph is replayed without these copies, their waits and the filling; the call that starts each remains, for
the kernel that fills.

Stays quiet when: there is fewer than one in two steps, or copying and filling take less than 1 % of the time.

Fix: device= where the tensor is made: torch.zeros(n, device=x.device). Random numbers then come from the device's
generator: another sequence for the same seed.

Sources: PyTorch Performance Tuning Guide (create tensors directly on the target device).
"""

from __future__ import annotations

from slowprobe.diagnose.device_parts import on_device, per_step, places, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import NoOperators, OverlapCopies
from slowprobe.timeline.loop_changes import GONE

OFTEN = 0.5  # a step
MIN_SHARE = 0.01  # of the time

RULE = Rule(
    title="Tensors are made on the host and copied to the device",
    bottleneck="transfer",
    needs=("device", "host_made", "replay"),
)


def check(run: Evidence) -> Answer:
    """Look for tensors that are filled on the host in front of their copy."""
    return on_device(run, _judge)


def _judge(run: Evidence, facts: DeviceFacts) -> Diagnosis | Passed:
    made = [each for each in run.host_made if per_step(facts, len(each.rows)) >= OFTEN]
    if not made:
        return Passed("no tensor is filled on the host in each step and then copied")
    count = per_step(facts, sum(len(each.rows) for each in made))
    filling, copying = (share(facts, sum(ns)) for ns in ([m.making_ns for m in made], [m.copying_ns for m in made]))
    if filling + copying < MIN_SHARE:
        return Passed(f"{count:.1f} tensors a step are filled on the host, {filling + copying:.2%} of the time")
    names = sorted({each.operator.removeprefix("aten::") for each in made})
    return Diagnosis(
        summary=(
            f"{count:.1f} tensors a step are filled on the host ({', '.join(names[:4])}) and copied to the device, "
            f"{filling:.1%} and {copying:.1%} of the time; the device could fill them itself."
        ),
        where=places((each.site, each.making_ns + each.copying_ns) for each in made),
        fix=Fix(
            text="Make them where they are used: pass device= instead of calling .to() or .cuda().",
            diff=f"-torch.{names[0]}(...).to(device)\n+torch.{names[0]}(..., device=device)",
        ),
        changes=[
            OverlapCopies([row for each in made for row in each.rows], GONE),
            NoOperators([span for each in made for span in each.spans_ns]),
        ],
        evidence={
            "a step": round(count, 2),
            "filling, of the time": round(filling, 4),
            "copying, of the time": round(copying, 4),
            "bytes a step": round(per_step(facts, sum(each.size_bytes for each in made))) or "unknown",
            "operators": ", ".join(names),
        },
    )
