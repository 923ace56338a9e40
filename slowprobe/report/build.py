"""Builds the result document of a run from its evidence and what the rules found."""

from __future__ import annotations

import shlex
import signal

import numpy as np

from slowprobe.diagnose.engine import Examination, examine
from slowprobe.diagnose.evidence import Evidence, EvidenceMissing
from slowprobe.report import document as doc
from slowprobe.report.device_document import Device
from slowprobe.report.device_section import device_section
from slowprobe.report.flame_rows import flame_rows
from slowprobe.report.headline import advice, notes, overhead, verdict
from slowprobe.report.host_step import host_step
from slowprobe.report.loaders import loader_rows
from slowprobe.report.operator_step import operator_step
from slowprobe.report.paths import with_relative_paths
from slowprobe.report.reach import reach
from slowprobe.report.resources import resources
from slowprobe.report.timeline_document import StepTimeline
from slowprobe.run.reader import RunRecords
from slowprobe.run.schema import End, Exit, State
from slowprobe.timeline.input_curve import InputCurve
from slowprobe.timeline.ops import OpWindow
from slowprobe.timeline.outliers import Outliers
from slowprobe.timeline.partition import LABELS
from slowprobe.timeline.ranks.count import ranks
from slowprobe.timeline.step_stats import StepStats

MAX_SERIES = 20_000
MAX_HOTSPOTS = 40
SNIPPET_LINES = 3
UNLIKE = 2.0  # a profiled step over a usual one; recording many small operators costs up to half a step


def build_document(run: RunRecords) -> doc.Document:
    """Everything the renderers show."""
    evidence = Evidence(run)
    examined = examine(evidence)
    manifest = run.manifest
    shown = _window(evidence)
    document = doc.Document(
        schema=doc.SCHEMA,
        slowprobe_version=manifest.slowprobe_version,
        run=_run_info(evidence),
        verdict=verdict(evidence, examined, shown.reach if shown is not None else None),
        steps=step_summary(evidence.steps, evidence.outliers),
        time=_time(evidence),
        loaders=loader_rows(evidence.loaders, _curves(evidence)),
        findings=examined.findings,
        device=_device(evidence),
        outcomes=examined.outcomes,
        overhead=overhead(evidence),
        series=step_series(evidence.steps),
        timeline=_timeline(evidence),
        hotspots=_hotspots(evidence),
        flame=flame_rows(evidence),
        window=shown,
        resources=resources(evidence),
        snippets=_snippets(evidence, examined),
        notes=notes(evidence),
        advice=advice(evidence),
    )
    return with_relative_paths(document, manifest.cwd)


def _device(evidence: Evidence) -> Device | None:
    try:
        window = evidence.device_window
    except EvidenceMissing:
        return None
    return None if window is None else device_section(window.trace, window.facts)


def _run_info(evidence: Evidence) -> doc.RunInfo:
    run = evidence.run
    manifest = run.manifest
    ended = run.last(Exit)
    state = run.last(State)
    values = state.values if state else {}
    devices = values.get("devices") or []
    return doc.RunInfo(
        command=shlex.join(manifest.command),
        script=manifest.script,
        started_at=manifest.started_at,
        duration_s=rounded(evidence.recording.end_ns / 1e9),
        python=manifest.python,
        torch=str(values.get("torch") or "unknown"),
        host=dict(manifest.host),
        devices=[str(device) for device in devices] if isinstance(devices, list) else [],
        world_size=ranks(run),
        exit_code=ended.exit_code if ended else None,
        exit=_how_it_ended(run),
    )


def _how_it_ended(run: RunRecords) -> str:
    ended, end = run.last(Exit), run.last(End)
    if ended is None:
        return "recording ended" if end is not None else "still running, or killed together with slowprobe"
    if ended.signal is not None:
        try:
            name = signal.Signals(ended.signal).name
        except ValueError:
            name = f"signal {ended.signal}"
        return f"killed by {name}"
    raised = f" after {end.exception}" if end is not None and end.exception else ""
    return f"exited with {ended.exit_code}{raised}"


def step_summary(steps: StepStats, outliers: Outliers | None = None) -> doc.Steps | None:
    """The steps in figures; None without any."""
    if not steps or not len(steps.wall_ms):
        return None
    return doc.Steps(
        unit=steps.unit,
        count=steps.count,
        steady_count=steps.steady_count,
        median_ms=rounded(steps.median_ms()),
        mean_ms=rounded(steps.mean_ms()),
        p90_ms=rounded(steps.percentile_ms(90)),
        p99_ms=rounded(steps.percentile_ms(99)),
        first_ms=rounded(float(steps.wall_ms[0])),
        outliers=[
            doc.OutlierCause(
                label=cause.label,
                steps=cause.steps,
                extra_s=rounded(cause.extra_s),
                longest_ms=rounded(cause.longest_ms),
            )
            for cause in (outliers.causes if outliers is not None else ())
        ],
    )


def _time(evidence: Evidence) -> doc.Time:
    split = evidence.partition
    order = {"startup": 0, "step": 1, "off_step": 2, "shutdown": 3}
    cells = sorted(split.seconds.items(), key=lambda cell: (order[cell[0][0]], -cell[1], cell[0][1]))
    return doc.Time(
        wall_s=rounded(split.wall_s),
        loop_s=rounded(split.loop_s),
        unaccounted_share=rounded(split.unaccounted_share),
        buckets=[
            doc.Bucket(
                id=bucket,
                label=LABELS.get(bucket, bucket),
                seconds=rounded(seconds),
                share=rounded(seconds / split.wall_s if split.wall_s else 0.0),
                scope=scope,  # type: ignore[arg-type]
            )
            for (scope, bucket), seconds in cells
            if seconds > 0
        ],
    )


def _curves(evidence: Evidence) -> dict[int, InputCurve]:
    try:
        return evidence.input_curves
    except (EvidenceMissing, ArithmeticError, ValueError):  # costs the curve, not the report
        return {}


def step_series(steps: StepStats) -> doc.StepSeries | None:
    """The steps one by one, of long runs a part of them; None without any."""
    if not len(steps.wall_ms):
        return None
    chosen = np.unique(np.linspace(0, len(steps.wall_ms) - 1, min(MAX_SERIES, len(steps.wall_ms))).astype(int))
    return doc.StepSeries(
        index=chosen.tolist(),
        start_s=np.round(steps.start_s[chosen], 4).tolist(),
        wall_ms=np.round(steps.wall_ms[chosen], 4).tolist(),
        steady=steps.steady[chosen].tolist(),
        parts={bucket: np.round(values[chosen], 4).tolist() for bucket, values in sorted(steps.parts.items())},
        thinned=len(chosen) < steps.count,
    )


def _timeline(evidence: Evidence) -> StepTimeline | None:
    try:
        return host_step(evidence)
    except EvidenceMissing:
        return None


def _hotspots(evidence: Evidence) -> list[doc.Hotspot]:
    try:
        lines = evidence.lines
    except EvidenceMissing:
        return []
    wall = evidence.partition.wall_s or 1.0
    return [
        doc.Hotspot(
            file=line.file,
            line=line.line,
            function=line.function,
            text=evidence.source.line(line.file, line.line),
            seconds=rounded(line.seconds),
            share=rounded(line.seconds / wall),
            off_cpu_share=rounded(line.waiting),
            bucket=line.bucket,
        )
        for line in lines[:MAX_HOTSPOTS]
    ]


def _window(evidence: Evidence) -> doc.Window | None:
    try:
        ops = evidence.ops
    except EvidenceMissing:
        return None
    shown = window(ops, evidence.windows["clean"].path, _unlike(ops.step_ms, evidence.steps))
    shown.reach = reach(evidence)
    if not evidence.settings.get("devices"):  # what the device ran is in its own section
        shown.timeline = operator_step(ops.tree)
    return shown


def window(ops: OpWindow, trace: str | None, remark: str = "") -> doc.Window:
    """The operators of a profiler window; `trace`: where the reader finds it."""
    operators_ms = sum(stat.self_ms for stat in ops.classes) or 1.0
    return doc.Window(
        steps=ops.steps,
        events=ops.events,
        trace=trace,
        bound=ops.bound_text + remark,
        ops_per_step=rounded(ops.launches_per_step),
        median_op_us=rounded(ops.durations.median_us),
        python_between_ops_share=rounded(ops.shares.between_ops),
        classes=[
            doc.OpClass(
                name=stat.op_class,
                ms_per_step=rounded(stat.self_ms),
                count_per_step=rounded(stat.count),
                share=rounded(stat.share),
            )
            for stat in ops.classes
        ],
        top_ops=[
            doc.OpClass(
                name=stat.name,
                ms_per_step=rounded(stat.self_ms),
                count_per_step=rounded(stat.count),
                share=rounded(stat.self_ms / operators_ms),
            )
            for stat in ops.ops[:15]
        ],
    )


def _unlike(profiled_ms: float, steps: StepStats) -> str:
    """What to say of a window that is not like the rest of the run: more than the profiler's own cost can explain."""
    usual_ms = steps.median_ms()
    if not usual_ms or profiled_ms < UNLIKE * usual_ms:
        return ""
    return (
        f" These steps took {profiled_ms:.0f} ms each, a usual one {usual_ms:.0f} ms: the machine was busy just "
        "then, or they are another kind of step. Their shares say less about the run."
    )


def _snippets(evidence: Evidence, examined: Examination) -> dict[str, doc.Snippet]:
    found: dict[str, doc.Snippet] = {}
    for finding in examined.findings:
        for place in finding.where:
            lines = evidence.source.lines(place.file)
            if not 0 < place.line <= len(lines):
                continue
            first = max(1, place.line - SNIPPET_LINES)
            last = min(len(lines), place.line + SNIPPET_LINES)
            found[f"{place.file}:{place.line}"] = doc.Snippet(
                file=place.file,
                function=place.function,
                lines=[(number, lines[number - 1], number == place.line) for number in range(first, last + 1)],
            )
    return found


def rounded(value: float) -> float:
    """As many digits as report.json keeps."""
    return round(float(value), 6)
