"""What the input pipeline's picture and curve say, in sentences."""

from __future__ import annotations

import math

from slowprobe.report.document import Document
from slowprobe.report.loader_document import CurvePoint, Loader, Pipeline, StageId, WorkerCurve
from slowprobe.report.quantities import factor, milliseconds, percent

LABELS: dict[StageId, str] = {
    "start": "Start of workers",
    "storage": "Storage, I/O",
    "fetch": "Fetch",
    "transform": "Transforms",
    "collate": "Collate",
    "hand_over": "Hand-over",
    "loader": "Loader",
    "wait": "Wait",
    "step": "Step",
}
HINTS: dict[StageId, str] = {
    "start": "spread over the batches",
    "storage": "waiting in the dataset: files, network, sleep, or a free core",
    "fetch": "the dataset’s own code, on the CPU",
    "transform": "the dataset’s transforms",
    "collate": "items become a batch",
    "hand_over": "pickling, beside making the next batch",
    "loader": "sampler, pinning, the loader’s own code",
    "wait": "the loop stands still",
    "step": "what the loop does with a batch",
}
BUCKETS: dict[StageId, str] = {"start": "loader_start", "wait": "data_wait"}  # the others are called as their stages
_NAMED: dict[StageId, str] = {
    "storage": "waiting for storage or a core",
    "fetch": "the dataset’s own code",
    "transform": "transforms",
    "collate": "collating",
}
_LIMITS = {
    "step": "From there on the step sets the pace: its batch is ready before it asks.",
    "cores": "More than that cannot help: the cores are all at work.",
    "hand-over": "More than that cannot help: getting a batch from another process takes the time.",
    "storage": "There, batches still wait for storage; more workers were not tried.",
}
WORTH_A_CHANGE = 1.05  # a smaller gain is within the prediction's error
WORTH_A_LINE = 0.05  # of the loop's time is waiting for batches
_SMALL = 0.05  # of the time from batch to batch


def pipeline_headline(loader: Loader) -> str:
    """What the loop pays for its batches, in one short sentence."""
    pipeline = loader.pipeline
    if pipeline is None:
        return ""
    took = {stage.id: stage.ms_per_batch for stage in pipeline.stages}
    period, wait = milliseconds(pipeline.period_ms), took.get("wait", 0.0)
    if pipeline.pace == "start":
        return f"Starting workers costs {milliseconds(took.get('start', 0.0))} of every {period}."
    if pipeline.making_ms is not None and not loader.num_workers:
        return f"The loop spends {milliseconds(pipeline.making_ms)} of every {period} making its batch."
    if wait > _SMALL * pipeline.period_ms:
        return f"The loop waits {milliseconds(wait)} of every {period} for its batch."
    return "Batches are ready when the loop asks for them."


def pipeline_in_words(loader: Loader) -> str:
    """Where a batch's time goes, for somebody who has not seen the picture."""
    pipeline = loader.pipeline
    if pipeline is None:
        return "No request for a batch was recorded one by one."
    took = {stage.id: stage.ms_per_batch for stage in pipeline.stages}
    step = took.get("step")
    if pipeline.making_ms is None:
        after = f"The step then takes {milliseconds(step)}. " if step else ""
        return after + _unseen(loader)
    if not loader.num_workers:
        first = f"No worker makes it beforehand, so the loop stands still meanwhile{_mostly(pipeline, ': ')}."
        return f"{first} Then the step takes {milliseconds(step)}." if step else first
    said = [f"Making a batch takes a worker {milliseconds(pipeline.making_ms)}{_mostly(pipeline, ', ')}."]
    who = "One worker delivers" if loader.num_workers == 1 else f"{loader.num_workers} workers together deliver"
    supply = f"{who} one every {milliseconds(pipeline.making_ms / loader.num_workers)} at best"
    said.append(f"{supply}; the step works {milliseconds(step)} on each." if step else f"{supply}.")
    again = loader.epochs > 1 and not loader.persistent_workers
    if pipeline.pace == "start" and again:
        said.append(f"They were started {loader.epochs} times, once for each pass.")
    elif pipeline.pace != "start" and "start" in took:
        passes = f" at each of the {loader.epochs} passes" if again else ""
        said.append(f"Starting the workers{passes} costs {milliseconds(took['start'])} a batch.")
    return " ".join(said)


def curve_in_words(curve: WorkerCurve, pace: StageId | None = None) -> str:
    """What the recommended setting brings, and what limits it."""
    said = gain_in_words(curve)
    if not _gains(curve) and curve.recommended_num_workers >= curve.present_num_workers:
        return said
    if pace == "start":
        return f"{said} The present workers are that slow because they are started at each pass."
    if not curve.recommended_num_workers:
        return f"{said} Batches are made so fast that workers cost more than they save."
    return f"{said} {_LIMITS.get(curve.limit, '')}".strip()


def gain_in_words(curve: WorkerCurve) -> str:
    """What the recommended number of workers brings over the present one."""
    then = {point.num_workers: point for point in curve.points}.get(curve.recommended_num_workers)
    if then is None:
        return ""
    gain = curve.present_ms / then.expected_ms if then.expected_ms > 0 else math.nan
    setting = f"num_workers={curve.recommended_num_workers}"
    if curve.recommended_num_workers == curve.present_num_workers:
        setting += ", kept between passes,"
    if gain >= WORTH_A_CHANGE:
        return (
            f"With {setting} a batch and its step are predicted to take {_span(then)} instead of "
            f"{milliseconds(curve.present_ms)}: {factor(gain)} as fast."
        )
    if curve.recommended_num_workers < curve.present_num_workers:
        return f"{setting} is predicted to do as well as the present num_workers={curve.present_num_workers}."
    if gain > 1.005:
        return f"{setting} is predicted to be {percent(gain - 1)} faster: not worth a change."
    return f"No other number of workers is predicted to be faster than the present {curve.present_num_workers}."


def summary(document: Document) -> list[str]:
    """The training loader in a line, where waiting for its batches is a part of the loop's time that matters."""
    training = [loader for loader in document.loaders if loader.role == "training" and loader.pipeline is not None]
    # What may be gained is for the findings to say; the curve only gives them a number.
    found = any(finding.bottleneck == "input" for finding in document.findings)
    return [line for loader in training[:1] if (line := _in_short(loader, loader.pipeline, found))]


def _in_short(loader: Loader, pipeline: Pipeline | None, found: bool) -> str:
    stages = pipeline.stages if pipeline is not None else []
    waited = sum(stage.busy_share for stage in stages if stage.by == "training_process" and stage.id != "step")
    if pipeline is None or waited < WORTH_A_LINE:
        return ""
    if pipeline.making_ms is None:
        return f"Input: {pipeline_headline(loader)} {_unseen(loader)}"
    took = {stage.id: stage.ms_per_batch for stage in stages}
    workers = "1 worker" if loader.num_workers == 1 else f"{loader.num_workers or 'no'} workers"
    parts = [f"{milliseconds(pipeline.making_ms)} to make a batch{_mostly(pipeline, ', ')}", workers]
    named = {"step": "step", "wait": "wait", "start": "start of workers"}
    parts += [f"{name} {milliseconds(took[id])}" for id, name in named.items() if id in took]
    said = f"Input: {'; '.join(parts)}."
    # Without the start of its workers the loader would be another one than the curve's present point.
    if not found or loader.curve is None or pipeline.pace == "start" or not _gains(loader.curve):
        return said
    return f"{said} {gain_in_words(loader.curve)}"


def _gains(curve: WorkerCurve) -> bool:
    then = {point.num_workers: point.expected_ms for point in curve.points}.get(curve.recommended_num_workers)
    return then is not None and curve.present_ms >= WORTH_A_CHANGE * then


def _span(point: CurvePoint) -> str:
    low, high = milliseconds(point.low_ms), milliseconds(point.high_ms)
    expected = milliseconds(point.expected_ms)
    return expected if low == high else f"{expected} ({low} to {high})"


def _mostly(pipeline: Pipeline, joined: str) -> str:
    """The stage that is most of making a batch, if one is."""
    made = [stage for stage in pipeline.stages if stage.id in _NAMED]
    top = max(made, key=lambda stage: stage.ms_per_batch, default=None)
    if top is None or not pipeline.making_ms or not top.ms_per_batch >= 0.4 * pipeline.making_ms:
        return ""
    return f"{joined}{percent(top.ms_per_batch / pipeline.making_ms)} of it {_NAMED[top.id]}"


def _unseen(loader: Loader) -> str:
    if loader.watched:
        return "How it is made is not known: slowprobe sees this iterable only from outside."
    return "How it is made is not known: it was not seen being made."
