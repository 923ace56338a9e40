"""Synchronising calls of one kind: what they cost the device, and the loop without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slowprobe.diagnose.device_parts import on_device, per_step, places, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.device.syncs import SyncStat
from slowprobe.timeline.graph.changes import NoSync

MIN_DRAINED = 0.03  # of the recording: a queue run dry for less is refilled before anybody feels it
OFTEN = 0.5  # a step; what comes every tenth step is a log line
ITEM_OPS = ("aten::item", "aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal", "aten::allclose")
SCALER = ("grad_scaler.py", "clip_grad.py")


def in_scaler(sync: SyncStat) -> bool:
    """Whether GradScaler or clip_grad_norm_ waits here."""
    return any(each in (sync.frame or "") for each in SCALER) or "_amp_" in (sync.op or "")


def judged(run: Evidence, mine: Callable[[SyncStat], bool], words: str, fix: Fix) -> Answer:
    """A diagnosis of the synchronisations that are `mine`, named by `words`."""

    def judge(run: Evidence, facts: DeviceFacts) -> Diagnosis | Passed:
        return _judge(facts, [sync for sync in facts.syncs if mine(sync)], words, fix)

    return on_device(run, judge)


def _judge(facts: DeviceFacts, syncs: Sequence[SyncStat], words: str, fix: Fix) -> Diagnosis | Passed:
    if not syncs:
        return Passed(f"no {words} was recorded")
    drained = share(facts, sum(sync.drained_ns for sync in syncs))
    count = per_step(facts, sum(sync.count for sync in syncs))
    if count < OFTEN:
        return Passed(f"{count:.2f} a step: {words}")
    if drained < MIN_DRAINED:
        return Passed(f"{words}, {count:.1f} a step, leave the device idle {drained:.1%} of the time")
    names = sorted({sync.op or sync.name for sync in syncs})
    return Diagnosis(
        summary=(
            f"{count:.1f} times a step the host waits for the device ({', '.join(names[:3])}); each time the queue "
            f"runs dry, and the device is idle {drained:.0%} of the time until the host has launched again."
        ),
        where=places((sync.line, sync.drained_ns) for sync in syncs),
        fix=fix,
        changes=[NoSync(tuple(row for sync in syncs for row in sync.rows))],
        evidence={
            "a step": round(count, 2),
            "device idle behind them": round(drained, 4),
            "host waiting, ms a step": round(per_step(facts, sum(sync.total_ns for sync in syncs)) / 1e6, 3),
            "calls": ", ".join(sorted({sync.name for sync in syncs})),
            "operators": ", ".join(sorted({sync.op for sync in syncs if sync.op})) or "none around them",
        },
    )
