"""nn.DataParallel drives several devices from one process.

What it is: one Python process scatters each batch, copies the model to all devices, and gathers what they return.

Why it is slow: the model is copied in each step, one interpreter launches for all devices, and the first gathers all
outputs and gradients.

How it is seen: kernels on more than one device in one process, beside Scatter, Gather or Broadcast operators.

Saving: a stated range for two devices and more: what their idle time leaves at best, half of that is expected.

Stays quiet when: one device is at work.

Fix: DistributedDataParallel, one process a device: torchrun --nproc-per-node=N train.py

Sources: PyTorch documentation (prefer DistributedDataParallel); TensorBoard plugin.
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import on_device, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import HostFaster
from slowprobe.timeline.loop_changes import Factor

SIGNS = ("Scatter", "Gather", "Broadcast", "ReduceAddCoalesced", "BroadcastBackward", "GatherBackward")

RULE = Rule(title="nn.DataParallel drives several devices", bottleneck="communication", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Look for several devices behind one process."""
    return on_device(run, _judge)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed | NotApplicable:
    if len(facts.devices) < 2:
        return NotApplicable("one device is at work")
    seen = sorted(op for op in facts.operators if op.rpartition("::")[2] in SIGNS)
    if not seen:
        return Passed(f"{len(facts.devices)} devices are at work, without scattering and gathering")
    idle = share(facts, facts.partition.idle_ns)
    return Diagnosis(
        summary=(
            f"One process drives {len(facts.devices)} devices with nn.DataParallel; the busiest of them is idle "
            f"{idle:.0%} of the time."
        ),
        where=[],
        fix=Fix(
            text="Use DistributedDataParallel: one process a device, started by torchrun.",
            diff=f"+torchrun --nproc-per-node={len(facts.devices)} train.py",
        ),
        changes=[HostFaster(Factor(1 / len(facts.devices), 0.5 + 0.5 / len(facts.devices), 1.0))],
        basis="stated range",
        evidence={"devices": len(facts.devices), "idle": round(idle, 4), "operators": ", ".join(seen)[:200]},
    )
