"""Runs every rule on a run's evidence: isolated, with declared evidence only, savings by replay, ranked."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING

from slowprobe.diagnose import rules
from slowprobe.diagnose.declared import DeclaredEvidence
from slowprobe.diagnose.doubt import Doubt, confidence, doubts, doubts_of, lowered, widened
from slowprobe.diagnose.evidence import Evidence, EvidenceMissing
from slowprobe.diagnose.finding import HIGH_SHARE, MEDIUM_SHARE, Finding, Outcome, Range, Saving, Severity
from slowprobe.diagnose.ranking import ranked
from slowprobe.diagnose.rule import Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.timeline.loop_changes import Change
from slowprobe.timeline.replay import Outlook

if TYPE_CHECKING:  # the timeline of devices takes as long to import as all the rest
    from slowprobe.diagnose.trace_evidence import TraceEvidence

MIN_SHARE = 0.01  # a saving below one percent of loop time is within the noise of any training loop


@dataclass(frozen=True)
class LoadedRule:
    """A rule module: id (file name with hyphens), declaration, documentation, function."""

    id: str
    rule: Rule
    documentation: str
    module: ModuleType


@dataclass(frozen=True)
class Examination:
    """What all rules found: ranked findings, outcomes by rule id, and the joint replay of all findings."""

    findings: list[Finding]
    outcomes: dict[str, Outcome]
    joint: Outlook
    doubts: list[Doubt] = field(default_factory=list)
    """About all figures of the run."""


def discover() -> list[LoadedRule]:
    """All rules, by id. Raises TypeError for a module that does not keep to the protocol."""
    found = []
    for info in sorted(pkgutil.iter_modules(rules.__path__), key=lambda info: info.name):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{rules.__name__}.{info.name}")
        rule = getattr(module, "RULE", None)
        check = getattr(module, "check", None)
        if not isinstance(rule, Rule) or not callable(check) or len(inspect.signature(check).parameters) != 1:
            raise TypeError(f"{module.__name__} needs RULE = Rule(…) and check(run)")
        found.append(LoadedRule(info.name.replace("_", "-"), rule, inspect.getdoc(module) or "", module))
    return found


def examine(evidence: Evidence | TraceEvidence) -> Examination:
    """Let every rule look. A rule that fails becomes an error outcome; it cannot break the report."""
    outcomes: dict[str, Outcome] = {}
    seen: list[tuple[LoadedRule, Diagnosis, Outlook]] = []
    for loaded in discover():
        outcome, diagnoses = _ask(loaded, evidence)
        kept = [(loaded, diagnosis, outlook) for diagnosis, outlook in diagnoses if _counts(outlook) or diagnosis.risk]
        if diagnoses and not kept:
            outcome = Outcome("passed", loaded.rule.title, f"seen, but mending it would save less than {MIN_SHARE:.0%}")
        outcomes[loaded.id] = outcome
        seen += kept
    seen = ranked(_closest(seen, outcomes), evidence.replay)
    changes, joint = _joint(evidence, [entry for entry in seen if not entry[1].offer])
    about = doubts(evidence)
    joint = widened(joint, about, changes)
    findings = [
        _finding(loaded, diagnosis, outlook, evidence.serious_s, [*about, *doubts_of(diagnosis, evidence)])
        for loaded, diagnosis, outlook in seen
    ]
    return Examination(findings, outcomes, joint, about)


def _closest(
    seen: list[tuple[LoadedRule, Diagnosis, Outlook]], outcomes: dict[str, Outcome]
) -> list[tuple[LoadedRule, Diagnosis, Outlook]]:
    """One cause is reported once: a general rule's finding yields to that of a closer rule about the same line."""
    kept = []
    for entry in seen:
        loaded, diagnosis, _ = entry
        first = next(((where.file, where.line) for where in diagnosis.where), None)
        closer = [
            other.id
            for other, named, _ in seen
            if loaded.id in other.rule.closer_than
            and first in {*((w.file, w.line) for w in named.where), *((s.file, s.line) for s in named.covers)}
        ]
        if not closer:
            kept.append(entry)
        elif outcomes[loaded.id].status == "found":
            outcomes[loaded.id] = Outcome("passed", loaded.rule.title, f"{closer[0]} names the same line")
    for loaded, diagnosis, _ in kept:  # another finding of a rule of which one has yielded
        outcomes[loaded.id] = Outcome("found", loaded.rule.title, diagnosis.summary)
    return kept


def _ask(loaded: LoadedRule, evidence: Evidence | TraceEvidence) -> tuple[Outcome, list[tuple[Diagnosis, Outlook]]]:
    title = loaded.rule.title
    if not evidence.steps:
        return Outcome("not-applicable", title, "no training step was recorded"), []
    try:
        answer = loaded.module.check(DeclaredEvidence(evidence, loaded.rule.needs))
        if isinstance(answer, Passed):
            return Outcome("passed", title, answer.reason), []
        if isinstance(answer, NotApplicable):
            return Outcome("not-applicable", title, answer.reason), []
        if isinstance(answer, NotChecked):
            return Outcome("not-checked", title, answer.reason), []
        diagnoses = [answer] if isinstance(answer, Diagnosis) else list(answer)
        if not diagnoses:
            return Outcome("passed", title, "nothing found"), []
        replayed = [(diagnosis, evidence.replay.outlook(diagnosis.changes)) for diagnosis in diagnoses]
        return Outcome("found", title, diagnoses[0].summary), replayed
    except EvidenceMissing as missing:
        return Outcome("not-checked", title, str(missing).strip("'\"")), []
    except Exception as error:
        return Outcome("error", title, f"{type(error).__name__}: {error}"), []


def _joint(
    evidence: Evidence | TraceEvidence, seen: list[tuple[LoadedRule, Diagnosis, Outlook]]
) -> tuple[list[Change], Outlook]:
    """All changes together, and what they save: never less than one finding alone.

    Where two changes of a loader contradict each other, that of the larger saving holds. A change that others make
    worse than useless (workers for batches that are cheap by then) is left out.
    """
    if not evidence.steps:
        return [], Outlook(0.0, 0.0, 0.0, 0.0)
    ranked = sorted(seen, key=lambda entry: (-entry[2].saved_s, entry[0].id))
    changes = [change for _, diagnosis, _ in ranked for change in diagnosis.changes]
    together = evidence.replay.outlook(changes)
    if not ranked or together.saved_s >= ranked[0][2].saved_s:
        return changes, together
    changes, together = list(ranked[0][1].changes), ranked[0][2]
    for _, diagnosis, _ in ranked[1:]:
        more = [*changes, *diagnosis.changes]
        outlook = evidence.replay.outlook(more)
        if outlook.saved_s >= together.saved_s:
            changes, together = more, outlook
    return changes, together


def _counts(outlook: Outlook) -> bool:
    return outlook.saved_s >= MIN_SHARE * outlook.before_s > 0


def _finding(
    loaded: LoadedRule, diagnosis: Diagnosis, outlook: Outlook, serious_s: float, about: list[Doubt]
) -> Finding:
    about = about if _counts(outlook) else []  # no saving is announced
    low, expected, high = widened(outlook, about, diagnosis.changes).speedup
    return Finding(
        rule=loaded.id,
        bottleneck=diagnosis.bottleneck or loaded.rule.bottleneck,
        severity=_severity(diagnosis, outlook, serious_s, about),
        title=diagnosis.title or loaded.rule.title,
        summary=diagnosis.summary,
        where=list(diagnosis.where),
        fix=diagnosis.fix,
        saving=Saving(
            basis=diagnosis.basis if _counts(outlook) else "none",
            seconds=round(outlook.saved_s, 3),
            speedup=Range(round(low, 3), round(expected, 3), round(high, 3)),
        ),
        evidence=diagnosis.evidence,
        risk=diagnosis.risk.text if diagnosis.risk is not None else "",
        confidence=confidence(about),
        doubts=[doubt.because for doubt in about],
    )


def _severity(diagnosis: Diagnosis, outlook: Outlook, serious_s: float, about: list[Doubt]) -> Severity:
    """The graver of what it costs, as far as that is sure, and what it threatens."""
    order: tuple[Severity, ...] = ("high", "medium", "low")
    costs = "low" if diagnosis.offer else lowered(severity(outlook, serious_s), about)
    return costs if diagnosis.risk is None else min(costs, diagnosis.risk.severity, key=order.index)


def severity(outlook: Outlook, serious_s: float) -> Severity:
    """By the expected saving as a share of loop time; low where nobody would feel it.

    Where the range says that the edit may as well save nothing, twice as much has to be expected of it.
    """
    if outlook.saved_s < serious_s or not outlook.before_s:
        return "low"
    surely = 1 - outlook.worst_s / outlook.before_s
    share = outlook.saved_s / outlook.before_s / (1 if surely >= MIN_SHARE else 2)
    return "high" if share >= HIGH_SHARE else "medium" if share >= MEDIUM_SHARE else "low"
