"""Facts about the other parts of the loop: optimizers, outermost modules, call sites, collections, evaluations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from slowprobe.run.loader_records import LoaderCpu
from slowprobe.run.record import Site
from slowprobe.run.schema import SpanKind
from slowprobe.timeline.labels import Labels
from slowprobe.timeline.partition import Partition
from slowprobe.timeline.recording import Ints, Key, Recording
from slowprobe.timeline.roles import FORWARD


@dataclass(frozen=True)
class SpanFacts:
    """One subject (an optimizer, a module in one mode, a call site) and the time it took.

    name: what the subject is called (class or api); seconds and calls are over the whole run, self time; scopes splits
    the seconds by scope (startup, step, off_step, shutdown), evaluation_s is the part inside evaluations.
    """

    kind: SpanKind
    name: str
    where: Site | None
    attrs: dict[str, Any]
    calls: int
    seconds: float
    """Self time: nested spans are not in it."""
    total_s: float
    longest_s: float
    scopes: dict[str, float]
    evaluation_s: float
    subject: int = 0
    occasions: int = 0
    """Calls that follow each other without a training step in between count once; 0 where that was not asked for."""

    @property
    def loop_s(self) -> float:
        """Seconds inside the training loop."""
        return self.scopes.get("step", 0.0) + self.scopes.get("off_step", 0.0)


@dataclass(frozen=True)
class EvaluationFacts:
    """The evaluations inside the training loop.

    count and span_s (start and length of each) are from the recorded spans; total_s is exact.
    """

    total_s: float
    count: int
    mean_s: float
    forward_s: float
    """Of total_s, inside forward passes."""
    grad_forward_s: float
    """Of that, in passes run with gradients enabled."""
    forwards: list[SpanFacts]
    steps_between: float
    """Training steps from one evaluation to the next."""


def span_facts(recording: Recording, split: Partition, kind: SpanKind) -> list[SpanFacts]:
    """The subjects of one kind, by time, most first."""
    found = [_facts(recording, split, key, kind) for key in recording.keys(kind)]
    return sorted(found, key=lambda facts: -facts.seconds)


def _facts(recording: Recording, split: Partition, key: Key, kind: SpanKind) -> SpanFacts:
    subject = recording.subject(key[1])
    total = recording.totals[key]
    scopes: dict[str, float] = {}
    evaluation = 0.0
    for (scope, bucket), seconds in split.by_key.get(key, {}).items():
        scopes[scope] = scopes.get(scope, 0.0) + seconds
        evaluation += seconds if bucket == "evaluation" else 0.0
    return SpanFacts(
        kind=kind,
        name=subject.name,
        where=subject.site,
        attrs=dict(subject.attrs),
        calls=total.count,
        seconds=total.self_ns / 1e9,
        total_s=total.total_ns / 1e9,
        longest_s=total.longest_ns / 1e9,
        scopes=scopes,
        evaluation_s=evaluation,
        subject=key[1],
    )


def call_facts(recording: Recording, split: Partition, labels: Labels, kind: SpanKind) -> list[SpanFacts]:
    """The calls of one kind; those of one checkpoint (model, optimizer, scheduler, generators) are one occasion."""
    found = [
        replace(_facts(recording, split, key, kind), occasions=_occasions(recording, labels, key))
        for key in recording.keys(kind)
    ]
    return sorted(found, key=lambda facts: -facts.seconds)


def _occasions(recording: Recording, labels: Labels, key: Key) -> int:
    """Counted in what was recorded span by span, and scaled to the exact number of calls."""
    spans, calls = recording.spans, recording.totals[key].count
    mine = np.flatnonzero((spans.kind == key[0]) & (spans.subject == key[1]))
    if not len(mine):
        return calls
    steps_before = np.searchsorted(labels.steps.start, spans.start[mine], side="right")
    together = len(np.unique(np.stack([spans.stretch[mine], steps_before]), axis=1)[0])
    return max(1, round(calls * together / len(mine)))


def evaluation_facts(recording: Recording, split: Partition, labels: Labels, steps: int) -> EvaluationFacts:
    """Count the evaluations and what they spend."""
    evaluation = np.array([bucket == "evaluation" for _, bucket in labels.names] or [False])
    spans = recording.spans
    inside = evaluation[labels.span[labels.roots]] if len(labels.roots) else np.zeros(0, dtype=bool)
    begins = np.flatnonzero(inside & ~np.concatenate([[False], inside[:-1]])) if len(inside) else np.zeros(0, dtype=int)
    count = len(begins)
    if len(spans) and recording.covered_ns and not inside.all():
        count = max(count, 1 if inside.any() else 0)
    forwards = [facts for facts in span_facts(recording, split, "forward") if facts.evaluation_s > 0]
    total = split.bucket_s("evaluation")
    return EvaluationFacts(
        total_s=total,
        count=count,
        mean_s=total / count if count else 0.0,
        forward_s=sum(facts.evaluation_s for facts in forwards),
        grad_forward_s=sum(facts.evaluation_s for facts in forwards if facts.attrs.get("grad")),
        forwards=forwards,
        steps_between=_steps_between(spans.start[labels.roots[begins]], labels.steps.start, steps, count),
    )


def _steps_between(begins: Ints, steps: Ints, all_steps: int, count: int) -> float:
    """The median over what was recorded in full: an evaluation before the first step would halve a mean."""
    if len(begins) == count >= 2 and len(steps) == all_steps:
        return float(np.median(np.diff(np.searchsorted(steps, begins))))
    return all_steps / count if count else 0.0


def step_cores(recording: Recording, loader: int | None = None) -> float:
    """Mean number of cores the training process uses in a step, apart from its loader; 1.0 when that was not recorded.

    From the clocks read around requests of `loader`; else from the CPU time between stack samples, which is rough: the
    time before a sample counts as what the sample saw.
    """
    read = [record for record in recording.run.of(LoaderCpu) if record.loader == loader]
    wall = sum(record.step_ns for record in read)
    if wall:
        return sum(record.step_cpu_ns for record in read) / wall
    rows = [row for row in recording.sampled.rows if row.is_open and row.key[0] in (FORWARD, FORWARD + 1, FORWARD + 2)]
    wall = sum(row.wall_ns for row in rows)
    return sum(row.process_cpu_ns for row in rows) / wall if wall else 1.0
