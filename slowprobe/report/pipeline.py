"""A batch's way through a loader, stage by stage, and which stage sets the pace."""

from __future__ import annotations

from typing import Literal

import numpy as np

from slowprobe.report import loader_document as doc
from slowprobe.timeline.loaders import LoaderFacts

WORTH_SHOWING = 0.03  # of the period: starts of workers, and what a request takes beyond making its batch
WAITS = 0.05  # of the period: below this, waiting is within ordinary step-to-step noise
IDLE_WAITS = 0.2  # the same where workers have time to spare: single late batches, not the pace
IDLE_WORKERS = 0.6  # busy share below which workers that are waited for are not held up by making batches
WARM_UP = 3
UNUSUAL = 20.0  # times the median step: compiling, or an evaluation within the pass
MAX_WAITS = 20_000

_MADE = ("storage", "fetch", "transform", "collate")


def pipeline(alike: list[LoaderFacts], limit: doc.Limit | None = None) -> doc.Pipeline | None:
    """The pipeline of loaders that one line made alike; None where no request was recorded."""
    alike = [facts for facts in alike if len(facts.wait)]
    if not alike:
        return None
    workers = alike[0].num_workers
    wait_s, start_s = _waiting(alike, workers)
    made = _making(alike)
    making_s = sum(made.values()) if made else None
    by: Literal["workers", "training_process"] = "workers" if workers else "training_process"
    seconds: list[tuple[doc.StageId, Literal["workers", "training_process"], float]] = []
    step_s = _step_s(alike)
    period_s = wait_s + start_s + step_s
    if start_s > WORTH_SHOWING * period_s:
        seconds.append(("start", "training_process", start_s))
    else:
        wait_s += start_s
    for id in _MADE:
        if made.get(id):
            seconds.append((id, by, made[id]))  # type: ignore[arg-type]
    hand_over_s = _per_batch(alike, "hand_over_s") if workers else None
    if hand_over_s is not None:
        seconds.append(("hand_over", "workers", hand_over_s))
    if workers or making_s is None:
        seconds.append(("wait", "training_process", wait_s))
    else:
        rest_s = max(0.0, wait_s - making_s)
        period_s = making_s + rest_s + start_s + step_s
        if rest_s > WORTH_SHOWING * period_s:
            seconds.append(("loader", "training_process", rest_s))
    if step_s:
        seconds.append(("step", "training_process", step_s))
    stages = [_stage(id, who, value, period_s, workers) for id, who, value in seconds]
    busy = making_s / (workers * period_s) if workers and making_s is not None and period_s > 0 else None
    return doc.Pipeline(
        stages=stages,
        period_ms=_ms(period_s),
        making_ms=None if making_s is None else _ms(making_s),
        workers_busy_share=None if busy is None else round(min(1.0, busy), 4),
        pace=_pace(stages, period_s * 1e3, busy, limit),
    )


def waits(alike: list[LoaderFacts]) -> doc.Waits | None:
    """The waits of the loaders in the order they were recorded, thinned to what a chart can show."""
    wait = np.concatenate([facts.wait for facts in alike]) * 1e3
    first = np.concatenate([facts.first for facts in alike])
    if len(wait) < 2:
        return None
    even = np.linspace(0, len(wait) - 1, min(MAX_WAITS, len(wait))).astype(int)
    chosen = np.union1d(even, np.flatnonzero(first)[:MAX_WAITS])
    return doc.Waits(
        wait_ms=np.round(wait[chosen], 3).tolist(),
        index=chosen.tolist(),
        first_of_pass=np.flatnonzero(first[chosen]).tolist(),
        thinned=len(chosen) < sum(facts.batches for facts in alike),
    )


def _waiting(alike: list[LoaderFacts], workers: int) -> tuple[float, float]:
    """Seconds a batch of waiting, and of starting passes: iterators, and what a first batch takes beyond the others."""
    wait = np.concatenate([facts.wait for facts in alike])
    first = np.concatenate([facts.first for facts in alike])
    usual = float(np.mean(wait[~first])) if not first.all() else 0.0
    batches = sum(facts.batches for facts in alike)
    starting = sum(facts.start_s for facts in alike) / max(batches, 1)
    if not workers or first.all():
        return float(np.mean(wait)), starting
    beyond = float(np.sum(np.maximum(wait[first] - usual, 0.0))) / len(wait)
    return usual, starting + beyond


def _making(alike: list[LoaderFacts]) -> dict[str, float]:
    """Seconds a batch of each stage of making it; empty where that was not seen."""
    fetch_s, collate_s = _per_batch(alike, "fetch_s"), _per_batch(alike, "collate_s")
    if fetch_s is None:
        return {}
    transform_s = min(_per_batch(alike, "transform_s") or 0.0, fetch_s)
    off_cpu_s = min(_per_batch(alike, "io_wait_s") or 0.0, fetch_s)
    batches = _made_batches(alike)
    transforms = [transform for facts in alike for transform in facts.making.transforms]
    # A transform that sleeps or reads is a slow transform, not slow storage.
    inside = sum(max(0.0, each.wall_s - each.cpu_s) for each in transforms if each.cpu_s is not None) / batches
    storage_s = min(max(0.0, off_cpu_s - inside), fetch_s - transform_s)
    return {
        "storage": storage_s,
        "fetch": fetch_s - transform_s - storage_s,
        "transform": transform_s,
        "collate": collate_s or 0.0,
    }


def _per_batch(alike: list[LoaderFacts], name: str) -> float | None:
    values = [getattr(facts if hasattr(facts, name) else facts.making, name) for facts in alike]
    known = [value for value in values if value is not None]
    return sum(known) / _made_batches(alike) if known else None


def _made_batches(alike: list[LoaderFacts]) -> int:
    """Workers make batches that are never asked for where a pass is left early."""
    made = sum(worker.batches for facts in alike for worker in facts.making.workers)
    return made or max(1, sum(facts.batches for facts in alike))


def _step_s(alike: list[LoaderFacts]) -> float:
    consume = np.concatenate([facts.consume for facts in alike])
    consume = consume[~np.isnan(consume)]
    if len(consume) > 10 * WARM_UP:
        consume = consume[WARM_UP:]
    if not len(consume):
        return 0.0
    return float(np.mean(consume[consume <= UNUSUAL * max(float(np.median(consume)), 1e-9)]))


def _stage(
    id: doc.StageId, by: Literal["workers", "training_process"], seconds: float, period_s: float, workers: int
) -> doc.PipelineStage:
    servers = workers if by == "workers" else 1
    share = seconds / (servers * period_s) if period_s > 0 else 0.0
    return doc.PipelineStage(id=id, by=by, ms_per_batch=_ms(seconds), busy_share=round(min(1.0, share), 4))


def _pace(
    stages: list[doc.PipelineStage], period_ms: float, busy: float | None, limit: doc.Limit | None
) -> doc.StageId | None:
    """The slowest stage of the side that the other one waits for."""
    took = {stage.id: stage.ms_per_batch for stage in stages}
    made = {id: took[id] for id in took if id in _MADE}
    own = {id: took[id] for id in took if id in ("start", "step")}
    if "wait" not in took:  # one process does it all, one after the other
        return max(took, key=lambda id: took[id], default=None)
    if took.get("start", 0.0) > max(took.get("step", 0.0), took["wait"]):
        return "start"
    idle = busy is not None and busy < IDLE_WORKERS
    if took["wait"] <= (IDLE_WAITS if idle else WAITS) * period_ms:
        return max(own, key=lambda id: own[id], default=None)
    if not made:
        return "wait" if took["wait"] > took.get("step", 0.0) else "step"
    if took.get("hand_over", 0.0) > sum(made.values()):
        return "hand_over"
    if limit == "hand-over" and idle:
        return "hand_over" if "hand_over" in took else "wait"
    return max(made, key=lambda id: made[id])


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 4)
