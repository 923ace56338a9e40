"""The typical step as it was recorded: what the training thread did, and the loader's workers beside it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slowprobe.diagnose.evidence import Evidence
from slowprobe.report.timeline_cells import Layer, innermost, painted
from slowprobe.report.timeline_document import StepTimeline, us
from slowprobe.report.timeline_lanes import Names, Row, shifted, timeline_of
from slowprobe.report.timeline_words import LOOP, WORKER, loop_part, worker_part
from slowprobe.run.schema import Subject
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.typical_step import typical_steps

PARTS = (*map(loop_part, LOOP), *map(worker_part, WORKER))
PART = {part: number for number, part in enumerate(PARTS)}
_MOST_WORKERS = 8


def host_step(evidence: Evidence) -> StepTimeline | None:
    """The typical step, and as many after it as it takes to see the workers' part; None without a step."""
    bounds = evidence.labels.steps
    chosen = typical_steps(evidence.labels, evidence.steps, evidence.loaders)
    if chosen is None:
        return None
    first, last = chosen
    start_ns, end_ns = int(bounds.start[first]), int(bounds.end[last])
    names = Names()
    rows = [_training_thread(evidence, start_ns, end_ns, names), *_workers(evidence.loaders, start_ns, end_ns, names)]
    rows = [Row(row.kind, row.label, shifted(row.stretches, start_ns)) for row in rows]
    label = f"step {first}" if first == last else f"steps {first} to {last}"
    shown = timeline_of(label, [row for row in rows if len(row.stretches)], PARTS, names, end_ns - start_ns)
    shown.steps_us = [us(int(each) - start_ns) for each in bounds.start[first + 1 : last + 1]]
    return shown


def _training_thread(evidence: Evidence, start_ns: int, end_ns: int, names: Names) -> Row:
    labels, spans, subjects = evidence.labels, evidence.recording.spans, evidence.recording.subjects
    inside = np.flatnonzero((spans.start < end_ns) & (spans.end > start_ns))
    next_root = spans.start[labels.roots[1:]]
    gaps = np.flatnonzero((labels.gap_start < end_ns) & (next_root > start_ns) & (labels.gap_ns > 0))
    part_of = np.array([PART[loop_part(bucket)] for _, bucket in labels.names] or [0], dtype=np.int64)
    said = [names.number(_said(subjects.get(number))) for number in spans.subject[inside].tolist()]
    shown = innermost(
        np.concatenate((labels.gap_start[gaps], spans.start[inside])),
        np.concatenate((next_root[gaps], spans.end[inside])),
        np.concatenate((part_of[labels.gap[gaps]], part_of[labels.span[inside]])),
        np.concatenate((np.full(len(gaps), -1), np.array(said, dtype=np.int64))),
        start_ns,
        end_ns,
    )
    return Row("host", "Training thread", shown)


def _said(subject: Subject | None) -> str:
    if subject is None:
        return ""
    place = f" · {subject.site.file.rpartition('/')[2]}:{subject.site.line}" if subject.site is not None else ""
    return subject.name + place


def _workers(loaders: list[LoaderFacts], start_ns: int, end_ns: int, names: Names) -> Iterator[Row]:
    """A row for each worker that made a batch meanwhile; the training loader's first."""
    several = sum(len(facts.making.start_s) > 0 for facts in loaders) > 1
    ranked = sorted(loaders, key=lambda facts: not facts.primary)
    shown = 0
    for facts in ranked:
        for number in np.unique(facts.making.worker).tolist():
            row = _worker(facts, number, several, start_ns, end_ns, names)
            if len(row.stretches) and shown < _MOST_WORKERS:
                shown += 1
                yield row


def _worker(facts: LoaderFacts, number: int, several: bool, start_ns: int, end_ns: int, names: Names) -> Row:
    making = facts.making
    mine = (making.worker == number) & (making.start_s * 1e9 < end_ns) & (making.end_s * 1e9 > start_ns - 1e9)
    begin = np.round(making.start_s[mine] * 1e9).astype(np.int64)
    made = np.round(making.end_s[mine] * 1e9).astype(np.int64)
    fetched = np.minimum(begin + np.round(facts.fetch[mine] * 1e9).astype(np.int64), made)
    handed = made + np.nan_to_num(making.hand_over[mine] * 1e9).astype(np.int64)
    name = np.array(
        [names.number(f"batch {at}" if at >= 0 else "a batch") for at in making.index[mine].tolist()] or [-1]
    )
    name = name[: len(begin)]
    layers = [
        Layer(PART[worker_part(part)], start, end, name)
        for part, start, end in (("hand_over", made, handed), ("fetch", begin, fetched), ("collate", fetched, made))
    ]
    of = f" of {facts.name}" if several else ""
    return Row("worker", f"Worker {number}{of}", painted(layers, start_ns, end_ns))
