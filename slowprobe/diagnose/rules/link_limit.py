"""The link between host and device is slower than any that such devices are sold with.

What it is: copies of pinned memory at a fraction of what the slot could carry: a card in a slot of 4 lanes, behind a
shared switch or in a virtual machine, a link trained down to an older generation, memory of the other socket.

Why it is slow: every batch crosses it. No setting of torch makes up for lanes that are not there.

How it is seen: bytes over time of copies from pinned memory of 1 MB and more, where the start of each does not count.
Below 6 GB/s, half of what PCIe 3.0 with 16 lanes carries, the link is not what a training machine should have. The
recorded graph is replayed with these copies faster.

Saving: a stated range, at 25 GB/s (PCIe 4.0 with 16 lanes) at best, 12 GB/s (PCIe 3.0) expected, and as slow as it is
at worst, where the machine cannot be changed.

Stays quiet when: pinned copies are exposed for less than 3 % of the time, or there are fewer than five such copies.
Copies from pageable memory say nothing of the link: see pageable-h2d.

Fix: look at the link while it is at work: nvidia-smi --query-gpu=pcie.link.gen.current,pcie.link.width.current
--format=csv; bind the process to the socket of the card (numactl); another slot.

Sources: NVIDIA bandwidthTest; PCI Express specifications (15.75 GB/s a direction for 3.0 x16, about 80 % of it
attained); gpuprof (PCIe).
"""

from __future__ import annotations

from slowprobe.diagnose.device_parts import on_device, places, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.diagnose.rules._copies import MIN_EXPOSED
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import Factor

LARGE_BYTES = 1_000_000  # takes 80 µs on PCIe 3.0; starting a copy takes some 5
SLOW, EXPECTED, BEST = 6.0, 12.0, 25.0  # GB/s: see the docstring
ENOUGH = 5  # copies: one can have met another device's

RULE = Rule(title="The link to the device is slow", bottleneck="transfer", needs=("device", "copied_tensors", "replay"))


def check(run: Evidence) -> Answer:
    """Compare the speed of large pinned copies with that of the slowest sound link."""
    return on_device(run, _judge)


def _judge(run: Evidence, facts: DeviceFacts) -> Diagnosis | Passed | NotApplicable:
    large = [each for each in run.copied_tensors if each.kind == "h2d_pinned" and each.size_bytes >= LARGE_BYTES]
    count, total_ns = (sum(each.count for each in large), sum(each.total_ns for each in large))
    if count < ENOUGH or not total_ns:
        return NotApplicable(f"{count} copies of 1 MB or more from pinned memory were recorded")
    rate = sum(each.size_bytes * each.count for each in large) / total_ns
    if rate >= SLOW:
        return Passed(f"pinned memory is copied to the device at {rate:.1f} GB/s")
    exposed = share(facts, sum(each.exposed_ns for each in large))
    if exposed < MIN_EXPOSED:
        return Passed(f"at {rate:.1f} GB/s, copies from pinned memory hold up the device {exposed:.1%} of the time")
    return Diagnosis(
        summary=(
            f"Pinned memory is copied to the device at {rate:.1f} GB/s, less than half of what PCIe 3.0 with 16 lanes "
            f"carries; these copies hold up the device {exposed:.0%} of the time."
        ),
        where=places((each.site, each.exposed_ns) for each in large),
        fix=Fix(
            text=(
                "Look at the link under load (nvidia-smi --query-gpu=pcie.link.gen.current,pcie.link.width.current "
                "--format=csv): its generation, its width, and which socket the process runs on."
            )
        ),
        changes=[
            Faster([row for each in large for row in each.rows], Factor(rate / BEST, rate / EXPECTED, 1.0)),
        ],
        basis="stated range",
        evidence={
            "GB/s": round(rate, 2),
            "copies": count,
            "bytes a copy": round(sum(each.size_bytes * each.count for each in large) / count),
            "exposed, of the time": round(exposed, 4),
        },
    )
