"""Builds the result document of torch.profiler traces: the same document as of a run, of what traces can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import slowprobe
from slowprobe.diagnose.engine import examine
from slowprobe.diagnose.evidence import EvidenceMissing
from slowprobe.diagnose.trace_evidence import TraceEvidence, idle_bucket
from slowprobe.report import document as doc
from slowprobe.report.build import rounded, step_series, step_summary, window
from slowprobe.report.device_section import device_section
from slowprobe.report.device_words import LABELS, idle_part, label
from slowprobe.report.operator_step import operator_step
from slowprobe.report.trace_verdict import trace_verdict
from slowprobe.timeline.device.idle import IDLE_CAUSES
from slowprobe.timeline.device.steps import TraceSteps
from slowprobe.timeline.device.typical import TypicalSteps
from slowprobe.timeline.ops import OpWindow
from slowprobe.timeline.ranks.facts import Ranks
from slowprobe.timeline.ranks.identity import distributed

NOT_RECORDED = "not recorded"
_EPOCH_NS = 1_420_070_400 * 10**9  # 2015, before torch: an earlier start is no time of day but that since boot
_OPERATORS = {
    "work": ("operators", "Inside operators"),
    "dispatch": ("dispatch", "Fixed cost of starting operators"),
    "launch_gap": ("launch", "Between operators: calling the next one"),
    "python": ("python", "Python and others outside operators"),
    "data": ("data_wait", "Waiting for data"),
    "engine": ("backward", "Waiting for the backward engine's thread"),
}
_Cell = tuple[str, str, str, float]
"""Scope, bucket, its label, seconds."""
_NO_STEPS = (
    "Nothing in the trace marks steps, so all figures are of the whole recording. Call prof.step() at the end of each "
    "step of the loop, or record a training loop with an optimizer."
)


def build_trace_document(evidence: TraceEvidence, name: str, command: str, remarks: Sequence[str] = ()) -> doc.Document:
    """Everything the renderers show.

    name: what the traces are called. command: what made this report. remarks: notes of the caller, which come first.
    """
    examined = examine(evidence)
    ranks = _ranks(evidence)
    marked = len(evidence.marks) > 0
    return doc.Document(
        schema=doc.SCHEMA,
        slowprobe_version=slowprobe.__version__,
        run=_run_info(evidence, ranks, name, command),
        verdict=trace_verdict(evidence, examined, ranks),
        steps=step_summary(evidence.steps) if marked else None,
        time=_time(evidence),
        loaders=[],
        findings=examined.findings,
        device=device_section(evidence.trace, evidence.facts, ranks) if evidence.facts is not None else None,
        outcomes=examined.outcomes,
        overhead=doc.Overhead(
            share=0.0,
            per_step_us=0.0,
            windows_s=0.0,
            text="From existing traces: slowprobe took no part in the run. The times contain what torch.profiler cost.",
        ),
        series=step_series(evidence.steps) if marked else None,
        window=_window(evidence),
        notes=[*remarks, *_notes(evidence, ranks)],
        advice=[] if marked else [_NO_STEPS],
    )


def _window(evidence: TraceEvidence) -> doc.Window | None:
    if evidence.cpu_window is None:
        return None
    shown = window(evidence.cpu_window, str(evidence.trace.path))
    shown.timeline = operator_step(evidence.cpu_window.tree)
    return shown


def _ranks(evidence: TraceEvidence) -> Ranks | None:
    try:
        return evidence.ranks
    except EvidenceMissing:
        return None


def _run_info(evidence: TraceEvidence, ranks: Ranks | None, name: str, command: str) -> doc.RunInfo:
    """What the headers tell; what they do not is said to be missing, not guessed."""
    trace = evidence.trace
    first_ns = int(trace.start_ns.min()) if len(trace) else 0
    began_ns = trace.base_ns + first_ns
    told = distributed(trace.header.get("distributed"))
    names = [row.device_name for row in ranks.rows] if ranks is not None else []
    if not names and evidence.facts is not None:
        names = [evidence.facts.device_name]
    counts = Counter(each for each in names if each)
    return doc.RunInfo(
        command=command,
        script=name,
        started_at=_time_of_day(began_ns) if began_ns > _EPOCH_NS else NOT_RECORDED,
        duration_s=rounded((int(trace.end_ns.max()) - first_ns) / 1e9) if len(trace) else 0.0,
        python=NOT_RECORDED,
        torch=NOT_RECORDED,
        host={},
        devices=[f"{count} × {each}" if count > 1 else each for each, count in counts.items()],
        world_size=ranks.world_size if ranks is not None else told.world_size or 1,
        exit_code=None,
        exit="as torch.profiler recorded it",
    )


def _time_of_day(unix_ns: int) -> str:
    try:
        return datetime.fromtimestamp(unix_ns / 1e9, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):  # a hostile base time
        return NOT_RECORDED


def _time(evidence: TraceEvidence) -> doc.Time:
    """The device's time from the first step to the last; without a device, that of the training thread in its steps."""
    if evidence.facts is not None:
        labels = LABELS | {idle_bucket(cause): label(idle_part(cause)) for cause in IDLE_CAUSES}
        labels["communication"] = "Communication that nothing hides"
        return _partition([(*cell, labels.get(cell[1], cell[1]), ns / 1e9) for cell, ns in evidence.loop_ns.items()])
    window = evidence.cpu_window
    return _partition(_operators(window) if window is not None else [])


def _operators(window: OpWindow) -> list[_Cell]:
    wall_s = sum(window.steps_ms) / 1e3
    return [("step", part, text, getattr(window.shares, share) * wall_s) for share, (part, text) in _OPERATORS.items()]


def _partition(cells: list[_Cell]) -> doc.Time:
    wall_s = sum(seconds for *_, seconds in cells)
    return doc.Time(
        wall_s=round(wall_s, 9),
        loop_s=round(wall_s, 9),
        unaccounted_share=0.0,
        buckets=[
            doc.Bucket(
                id=part,
                label=text,
                seconds=round(seconds, 9),
                share=rounded(seconds / wall_s if wall_s else 0.0),
                scope=scope,  # type: ignore[arg-type]
            )
            for scope, part, text, seconds in sorted(cells, key=lambda cell: (cell[0] == "off_step", -cell[3], cell[1]))
            if seconds > 0
        ],
    )


def _replayed(marks: TraceSteps, typical: TypicalSteps) -> str:
    first, last = (int(marks.number[step]) for step in (typical.first, typical.last - 1))
    return (
        f"Savings are replayed on steps {first} to {last}, {typical.last - typical.first} of {len(marks)}, and scaled "
        f"up to all: their time divides as that of all does, but for {typical.unlike:.1%} of it."
    )


def _notes(evidence: TraceEvidence, ranks: Ranks | None) -> list[str]:
    notes = list(ranks.warnings if ranks is not None else evidence.trace.warnings)
    if evidence.facts is None:
        notes.append("The trace shows nothing that ran on a device.")
    if evidence.cpu_window is not None:
        notes += evidence.cpu_window.warnings
    if len(evidence.marks):
        notes += evidence.marks.left_out
    if evidence.device_window is not None and (replayed_on := evidence.device_window.replayed_on) is not None:
        notes.append(_replayed(evidence.marks, replayed_on))
    if ranks is not None and ranks.straggler.rank is None:
        notes.append(f"No straggler is named. {ranks.straggler.reason}")
    return list(dict.fromkeys(notes))
