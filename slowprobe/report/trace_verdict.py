"""The verdict on a trace: what its findings say, else what the device's time says."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.diagnose.engine import Examination
from slowprobe.diagnose.finding import MEDIUM_SHARE, Bottleneck, Range
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.report.document import Verdict
from slowprobe.report.headline import leading
from slowprobe.report.quantities import percent
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.ops import OpWindow
from slowprobe.timeline.ranks.facts import Ranks

DRAINED = 0.5
"""Of the idle time that no data are waited for: when more of it follows calls that drained the queue, those decide."""

_IDLE: dict[str, tuple[Bottleneck, str]] = {
    "data": ("input", "waits for data"),
    "python": ("host", "waits for Python and the framework to launch kernels"),
    "launch": ("host", "waits for launch calls"),
    "queue_full": ("host", "stands idle behind a full launch queue"),
    "allocator": ("memory", "stands idle while memory is allocated"),
    "off_step": ("host", "stands idle for work between the steps"),
}


@dataclass(frozen=True, slots=True)
class _Loss:
    bottleneck: Bottleneck
    ns: int
    text: str
    """What follows "The device"."""


def trace_verdict(evidence: TraceEvidence, examined: Examination, ranks: Ranks | None) -> Verdict:
    """The bottleneck: that of the finding that saves most; without findings, what costs the device most of its time."""
    found = leading(examined)
    if found is not None:
        return found
    if evidence.facts is not None:
        return _of_device(evidence.facts, _waiting(evidence, ranks))
    window = evidence.cpu_window
    if window is None:
        return _verdict("none", "The trace holds neither device activity nor operators.", 0.0)
    return _of_operators(window)


def _of_device(facts: DeviceFacts, waiting: str) -> Verdict:
    span_ns = facts.partition.span_ns or 1
    worst = max(_losses(facts, waiting), key=lambda loss: loss.ns)
    share = worst.ns / span_ns
    if share < MEDIUM_SHARE:
        busy = percent(facts.partition.busy_ns / span_ns)
        return _verdict("none", f"The device is busy {busy} of the time, and nothing but its kernels holds it up.", 0.0)
    return _verdict(worst.bottleneck, f"The device {worst.text} {percent(share)} of the time.", share)


def _losses(facts: DeviceFacts, waiting: str) -> list[_Loss]:
    """What the device's time is lost to, each moment once: communication and copies that nothing hides, idling."""
    split, idle = facts.partition, dict(facts.gaps.by_cause)
    losses = [
        _Loss("communication", split.exposed_communication_ns, f"communicates without computing{waiting}"),
        _Loss("transfer", split.exposed_copy_ns, "copies without computing"),
        _Loss("input", idle.pop("data", 0), _IDLE["data"][1]),
    ]
    left_ns = sum(idle.values())
    drained_ns = min(facts.gaps.drained_ns, left_ns)
    if left_ns and drained_ns > DRAINED * left_ns:
        losses.append(_Loss("sync", drained_ns, "stands idle behind synchronisations that drained its queue"))
    else:
        losses += [_Loss(*_named(cause, ns)) for cause, ns in idle.items() if cause in _IDLE]
    return losses


def _named(cause: str, ns: int) -> tuple[Bottleneck, int, str]:
    bottleneck, text = _IDLE[cause]
    return bottleneck, ns, text


def _waiting(evidence: TraceEvidence, ranks: Ranks | None) -> str:
    """How much of this rank's communication is waiting, and for whom where that is known; empty where it is not."""
    row = next((row for row in ranks.rows if row.path == evidence.trace.path), None) if ranks is not None else None
    if ranks is None or row is None or not row.suffered_ns or not row.partition.exposed_communication_ns:
        return ""
    share = row.suffered_ns / row.partition.exposed_communication_ns
    whom = f"rank {ranks.straggler.rank}" if ranks.straggler.rank not in (None, row.rank) else "other ranks"
    return f" ({percent(share)} of that it waits for {whom})"


def _of_operators(window: OpWindow) -> Verdict:
    """Without a device the training thread is the resource: waiting for data is lost, the rest is its work."""
    shares = window.shares
    if shares.data >= MEDIUM_SHARE:
        return _verdict("input", f"The training thread waits for data {percent(shares.data)} of the time.", shares.data)
    if window.bound == "op-bound":
        busy = percent(shares.work + shares.engine)
        return _verdict("none", f"No device was recorded; operators on the CPU work {busy} of the time.", 0.0)
    if window.bound == "mixed":
        return _verdict("none", f"No device was recorded. {window.bound_text}", 0.0)
    share = shares.dispatch + shares.launch_gap if window.bound == "dispatch-bound" else shares.python
    return _verdict("host", f"No device was recorded. {window.bound_text}", share)


def _verdict(bottleneck: Bottleneck, headline: str, share: float) -> Verdict:
    return Verdict(bottleneck=bottleneck, headline=headline, share=round(share, 4), speedup=Range(1.0, 1.0, 1.0))
