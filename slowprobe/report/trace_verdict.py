"""The verdict on a trace: what its findings say, else what the device's time says."""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.diagnose.engine import Examination
from slowprobe.diagnose.finding import MEDIUM_SHARE, Bottleneck, Range
from slowprobe.diagnose.trace_evidence import TraceEvidence
from slowprobe.report.document import Verdict
from slowprobe.report.headline import leading
from slowprobe.report.quantities import percent
from slowprobe.timeline.ops import OpWindow
from slowprobe.timeline.ranks.facts import Ranks

DRAINED = 0.5
"""Of the idle time that no data are waited for: when more of it follows calls that drained the queue, those decide."""

SEEN = 0.5
"""Of a rank's communication, what must have been found on all ranks before a share of waiting says anything."""

_CAUSES: dict[str, tuple[Bottleneck, str]] = {
    "data_wait": ("input", "waits for data"),
    "python": ("host", "waits for Python, the framework and their launch calls"),
    "launch": ("host", "waits for Python, the framework and their launch calls"),
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
    of_that: str = ""
    """What follows the share."""


def trace_verdict(evidence: TraceEvidence, examined: Examination, ranks: Ranks | None) -> Verdict:
    """The bottleneck: that of the finding that saves most; without findings, what costs the device most of its time."""
    found = leading(examined)
    if found is not None:
        return found
    if evidence.facts is not None:
        return _of_device(evidence, ranks)
    window = evidence.cpu_window
    if window is None:
        return _verdict("none", "The trace holds neither device activity nor operators.", 0.0)
    return _of_operators(window)


def _of_device(evidence: TraceEvidence, ranks: Ranks | None) -> Verdict:
    spent: dict[str, int] = {}
    for (_, bucket), ns in evidence.loop_ns.items():
        spent[bucket] = spent.get(bucket, 0) + ns
    total_ns = sum(spent.values()) or 1
    losses = _losses(evidence, spent, _waiting(evidence, ranks))
    worst = sorted((loss for loss in losses if loss.ns >= MEDIUM_SHARE * total_ns), key=lambda loss: -loss.ns)
    time = "of the steps" if len(evidence.marks) else "of the time"
    if not worst:
        busy = 1 - sum(spent.get(bucket, 0) for bucket in (*_CAUSES, "idle_other")) / total_ns
        return _verdict("none", f"The device is busy {percent(busy)} {time}: nothing but its kernels holds it up.", 0.0)
    shares = [percent(loss.ns / total_ns) for loss in worst]
    text = f"The device {worst[0].text} {shares[0]} {time}{worst[0].of_that}"
    text += f", and it {worst[1].text} {shares[1]}{worst[1].of_that}." if len(worst) > 1 else "."
    return _verdict(worst[0].bottleneck, text, worst[0].ns / total_ns)


def _losses(evidence: TraceEvidence, spent: dict[str, int], waiting: str) -> list[_Loss]:
    """What the device's time is lost to, each moment once: communication and copies that nothing hides, idling."""
    losses = [_Loss("communication", spent.get("communication", 0), "communicates without computing", waiting)]
    # The bucket of copies holds kernels that copy, too: those are its own work.
    losses.append(_Loss("transfer", evidence.exposed_copy_ns, "copies without computing"))
    idle = {cause: spent[cause] for cause in _CAUSES if spent.get(cause)}
    losses.append(_Loss("input", idle.pop("data_wait", 0), _CAUSES["data_wait"][1]))
    left_ns = sum(idle.values())
    drained_ns = min(evidence.drained_ns, left_ns)
    if left_ns and drained_ns > DRAINED * left_ns:
        return [*losses, _Loss("sync", drained_ns, "stands idle behind synchronisations that drained its queue")]
    by_text: dict[tuple[Bottleneck, str], int] = {}
    for cause, ns in idle.items():
        by_text[_CAUSES[cause]] = by_text.get(_CAUSES[cause], 0) + ns
    return losses + [_Loss(bottleneck, ns, text) for (bottleneck, text), ns in by_text.items()]


def _waiting(evidence: TraceEvidence, ranks: Ranks | None) -> str:
    """How much of this rank's communication is waiting, and for whom where that is known; empty where it is not."""
    row = next((row for row in ranks.rows if row.path == evidence.trace.path), None) if ranks is not None else None
    if ranks is None or row is None or not row.suffered_ns or not row.partition.exposed_communication_ns:
        return ""
    found_ns = (row.waiting_ns or 0) + (row.transfer_ns or 0)
    if found_ns < SEEN * row.partition.communication_ns or not all(each.complete for each in ranks.collectives):
        return ""
    share = row.suffered_ns / row.partition.exposed_communication_ns
    whom = f"rank {ranks.straggler.rank}" if ranks.straggler.rank not in (None, row.rank) else "other ranks"
    return f" ({percent(share)} of that waiting for {whom})"


def _of_operators(window: OpWindow) -> Verdict:
    """Without a device the training thread is the resource: waiting for data is lost, the rest is its work."""
    shares = window.shares
    if shares.data >= MEDIUM_SHARE:
        return _verdict("input", f"The training thread waits for data {percent(shares.data)} of the time.", shares.data)
    if not window.launches_per_step:
        return _verdict("none", "No device was recorded, and no operator in the steps.", 0.0)
    if window.bound == "op-bound":
        busy = percent(shares.work + shares.engine)
        return _verdict("none", f"No device was recorded; operators on the CPU work {busy} of the time.", 0.0)
    if window.bound == "mixed":
        return _verdict("none", f"No device was recorded. {window.bound_text}", 0.0)
    share = shares.dispatch + shares.launch_gap if window.bound == "dispatch-bound" else shares.python
    return _verdict("host", f"No device was recorded. {window.bound_text}", share)


def _verdict(bottleneck: Bottleneck, headline: str, share: float) -> Verdict:
    return Verdict(bottleneck=bottleneck, headline=headline, share=round(share, 4), speedup=Range(1.0, 1.0, 1.0))
