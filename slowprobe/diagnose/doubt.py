"""What makes the figures of a run, or of one finding, less sure than they look, in words and as a confidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Confidence, Severity
from slowprobe.diagnose.hot_lines import off_cpu
from slowprobe.diagnose.rule import Diagnosis
from slowprobe.run.schema import Window
from slowprobe.timeline.loop_changes import Change, Reload, Scale
from slowprobe.timeline.neighbours import TAKEN
from slowprobe.timeline.recording import KIND
from slowprobe.timeline.replay import Outlook
from slowprobe.timeline.steps import WARM_UP_STEPS

if TYPE_CHECKING:  # the timeline of devices takes as long to import as all the rest
    from slowprobe.diagnose.trace_evidence import TraceEvidence

SEVERAL_STEPS = 6
"""The fewest steps whose fastest and slowest have the typical one between them: in 1 - 2 · 0.5⁶ = 97 % of runs (five:
94 %). With fewer, one odd step is what the figures are about."""

ENOUGH_STEPS = 10
"""Of ten, the second fastest and the second slowest still have it between them, in 98 % of runs: one odd step does no
harm."""

MOSTLY_OTHERS = 0.5  # of a recorded time: it says more about the neighbours than about the run
BUSY = 0.35  # of its computing the training thread was off the CPU; waiting for its own threads stays well below
_MOST_TAKEN = 0.9  # of a time that is taken to be the neighbours' at most; neither reading is better than a tenth
_ORDER: tuple[Confidence, ...] = ("low", "medium", "high")
_LOWER: dict[Severity, Severity] = {"high": "medium", "medium": "low", "low": "low"}


@dataclass(frozen=True)
class Doubt:
    """One reason to believe figures less."""

    confidence: Confidence
    because: str
    taken: float = 0.0
    """The share of a recorded time that other processes may be the cause of."""
    sample: bool = False
    """Whether too little was recorded; on a busy machine times are off, but what is seen is seen often enough."""


def doubts(evidence: Evidence | TraceEvidence) -> list[Doubt]:
    """About all figures of a run. A trace is a sample of a run that was long enough to take one."""
    if not isinstance(evidence, Evidence) or not evidence.steps:
        return []
    return [*_few_steps(evidence), *_busy_machine(evidence)]


def usable_steps(evidence: Evidence) -> int:
    """Steady steps; where many compile, those too, for that is how the run goes on."""
    if not any(kind == KIND["compile"] for kind, _ in evidence.recording.totals):
        return evidence.steps.steady_count
    profiled = sum(window.steps for window in evidence.run.of(Window))
    return max(evidence.steps.steady_count, evidence.steps.count - WARM_UP_STEPS - profiled)


def _few_steps(evidence: Evidence) -> Iterable[Doubt]:
    count = usable_steps(evidence)
    if count < ENOUGH_STEPS:
        steps = f"{count or 'no'} steady step{'' if count == 1 else 's'}"
        yield Doubt("low" if count < SEVERAL_STEPS else "medium", f"the run has only {steps}", sample=True)


def _busy_machine(evidence: Evidence) -> Iterable[Doubt]:
    beside = evidence.neighbours
    off = off_cpu(evidence)
    if beside is None:  # loader workers are the run's own doing; only readings of the machine tell them from others
        if off is not None and off > BUSY and not any(loader.num_workers for loader in evidence.loaders):
            yield Doubt("medium", f"the training thread was off the CPU for {off:.0%} of its work", off)
        return
    taken = beside.others if beside.in_the_way else 0.0
    if off is not None and evidence.operator_threads == 1:
        taken = min(taken, off)  # several threads wait for each other on the CPU: then being on it says nothing
    if taken >= TAKEN:
        because = f"other processes took {beside.others:.0%} of a machine without a free core"
        yield Doubt("low" if taken >= MOSTLY_OTHERS else "medium", because, taken)


def doubts_of(diagnosis: Diagnosis, evidence: Evidence | TraceEvidence) -> list[Doubt]:
    """About one finding's saving."""
    found = []
    if diagnosis.basis == "stated range":
        found.append(Doubt("medium", "the range is stated, not replayed"))
    beside = evidence.neighbours if isinstance(evidence, Evidence) else None
    if beside is not None and not beside.in_the_way and beside.others >= TAKEN and _wants_cores(diagnosis, evidence):
        found.append(Doubt("medium", f"other processes held {beside.others:.0%} of the cores that workers would use"))
    return found


def _wants_cores(diagnosis: Diagnosis, evidence: Evidence | TraceEvidence) -> bool:
    """Whether a fix asks for more workers than a loader had."""
    had = {loader.id: loader.num_workers for loader in evidence.loaders}
    asked = [each for each in diagnosis.changes if isinstance(each, Reload) and each.num_workers is not None]
    return any((each.num_workers or 0) > had.get(each.loader, 0) for each in asked)


def confidence(about: Sequence[Doubt]) -> Confidence:
    """As little as the gravest doubt leaves."""
    return min((doubt.confidence for doubt in about), key=_ORDER.index, default="high")


def lowered(severity: Severity, about: Sequence[Doubt]) -> Severity:
    """One step less grave where too little was recorded to grade it."""
    return _LOWER[severity] if any(doubt.sample and doubt.confidence == "low" for doubt in about) else severity


def widened(outlook: Outlook, about: Sequence[Doubt], changes: Iterable[Change] = ()) -> Outlook:
    """The range with what neighbours may have done to it; what is expected stays.

    They stretch times unevenly. At worst what is saved was stretched by them and the rest was not, so that alone there
    is less to save; at best it is the other way round. A sleep takes as long beside a neighbour as alone.
    """
    left = 1 - min(max((doubt.taken for doubt in about), default=0.0), _MOST_TAKEN)
    before = outlook.before_s
    worst_saved, best_saved = max(before - outlook.worst_s, 0.0), max(before - outlook.best_s, 0.0)
    if left == 1 or before <= 0:
        return outlook
    slept = sum(each.seconds for each in changes if isinstance(each, Scale) and each.bucket == "sleep")
    worst_saved = left * worst_saved + (1 - left) * min(slept, worst_saved)
    worst, best = min(outlook.worst_s, before), min(outlook.best_s, before) * left
    return replace(
        outlook,
        worst_s=before * worst / (worst + worst_saved) if worst > 0 else outlook.worst_s,
        best_s=before * best / (best + best_saved) if best > 0 else outlook.best_s,
    )
