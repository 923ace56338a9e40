"""Which loader feeds training, which module calls are evaluation, and what counts as one step of the loop."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from slowprobe.run.schema import State
from slowprobe.timeline.recording import KIND, Key, Recording, SpanTable

TRAINING, EVALUATION, OTHER = "training", "evaluation", "other"
ACCUMULATION_RATIO = (
    0.75  # optimizer steps a batch; below, batches are micro-batches (skipped GradScaler steps are rarer)
)
PHASE = 4  # steps in a row that make a training of its own; alternating optimizers come one or two at a time
_TRAINED_SHARE = 0.5  # of a loader's batches that a backward pass or optimizer step follows

WAIT, START, STOP = KIND["data_wait"], KIND["loader_start"], KIND["loader_end"]
FORWARD, BACKWARD, OPTIMIZER = KIND["forward"], KIND["backward"], KIND["optimizer"]


@dataclass(frozen=True)
class Roles:
    """What the parts of the loop are for.

    unit: ``batch`` (primary loader), ``optimizer step``, ``backward pass`` or ``none``; boundaries: the keys whose
    spans bound the steps, several where trainings follow one another.
    """

    loaders: dict[int, str]
    primary: int | None
    unit: str
    boundaries: tuple[Key, ...]
    evaluation_forwards: frozenset[int] = field(default_factory=frozenset)
    """Forward subjects that are evaluation wherever they occur: eval mode, and not a part of a training step."""


def assign_roles(recording: Recording) -> Roles:
    """Decide from the order of the recorded spans and the exact counts."""
    spans = recording.spans
    events = spans.where(np.isin(spans.kind, (WAIT, START, STOP, FORWARD, BACKWARD, OPTIMIZER)))
    trained, waits, first_in_turn = _follow(events)
    loaders = {
        loader: TRAINING if trained[loader] >= _TRAINED_SHARE * count and trained[loader] else EVALUATION
        for loader, count in waits.items()
    }
    _adopt_companions(loaders, events)
    primary = _primary(loaders, waits, first_in_turn, recording)
    unit, boundary = _unit(recording, primary)
    feeds = {(WAIT, loader) for loader, role in loaders.items() if role == TRAINING}
    boundaries = () if boundary is None else _in_turn(boundary, feeds, events)
    return Roles(loaders, primary, unit, boundaries, _evaluation_forwards(recording, events, loaders))


def _follow(events: SpanTable) -> tuple[Counter[int], Counter[int], Counter[int]]:
    """Batches that training follows, all batches, and how often a loader was asked first in a turn; by loader.

    Batches asked for one right after the other are one load: trainers fetch all micro-batches of a step at once.
    """
    trained: Counter[int] = Counter()
    waits: Counter[int] = Counter()
    first_in_turn: Counter[int] = Counter()
    last, load, before, turn_open = 0, 0, STOP, False
    stretch = 0
    for kind, subject, recorded in zip(
        events.kind.tolist(), events.subject.tolist(), events.stretch.tolist(), strict=True
    ):
        if recorded != stretch:  # spans are missing in between: what trained on which batch is not known
            stretch, last, load, before, turn_open = recorded, 0, 0, STOP, False
        if kind == WAIT:
            waits[subject] += 1
            load = load + 1 if before == WAIT and subject == last else 1
            last = subject
            if not turn_open:
                first_in_turn[subject] += 1
                turn_open = True
        elif kind in (BACKWARD, OPTIMIZER):
            turn_open = False
            trained[last] += load
            load = 0
        before = kind
    return trained, waits, first_in_turn


def _adopt_companions(loaders: dict[int, str], events: SpanTable) -> None:
    """A loader asked right before a training loader, with nothing in between, feeds the same step (zip of loaders)."""
    waits = events.where(np.isin(events.kind, (WAIT, FORWARD, BACKWARD, OPTIMIZER)))
    followed: Counter[int] = Counter()
    seen: Counter[int] = Counter()
    subjects, kinds = waits.subject.tolist(), waits.kind.tolist()
    for index in range(len(kinds) - 1):
        if kinds[index] == WAIT and loaders.get(subjects[index]) != TRAINING:
            seen[subjects[index]] += 1
            if kinds[index + 1] == WAIT and loaders.get(subjects[index + 1]) == TRAINING:
                followed[subjects[index]] += 1
    for loader, count in seen.items():
        if count >= 3 and followed[loader] >= 0.9 * count:
            loaders[loader] = TRAINING


def _primary(
    loaders: dict[int, str], waits: Counter[int], first_in_turn: Counter[int], recording: Recording
) -> int | None:
    training = [loader for loader, role in loaders.items() if role == TRAINING]
    if not training:
        return None
    counts = {loader: recording.totals[WAIT, loader].count for loader in training if (WAIT, loader) in recording.totals}
    most = max(counts.values(), default=0)
    busiest = [loader for loader, count in counts.items() if count >= 0.9 * most]
    return max(busiest, key=lambda loader: (first_in_turn[loader], -loader), default=None)


def _unit(recording: Recording, primary: int | None) -> tuple[str, Key | None]:
    steps = {key: recording.totals[key].count for key in recording.keys("optimizer")}
    if primary is not None:
        batches = recording.totals[WAIT, primary].count
        most = max(steps, key=lambda key: steps[key], default=None)
        if most is not None and steps[most] < ACCUMULATION_RATIO * batches and steps[most] > 0:
            return "optimizer step", most
        return "batch", (WAIT, primary)
    if steps:
        often = [key for key, count in steps.items() if count >= 2] or list(steps)
        return "optimizer step", min(often, key=lambda key: (steps[key], -key[1]))
    backward = {key: recording.totals[key].count for key in recording.keys("backward")}
    if backward:
        return "backward pass", max(backward, key=lambda key: backward[key])
    return "none", None


def _in_turn(boundary: Key, feeds: set[Key], events: SpanTable) -> tuple[Key, ...]:
    """`boundary` and its like from trainings before or after it; not what alternates with it within a turn."""
    kinds, subjects = events.kind.tolist(), events.subject.tolist()
    keys = [key for key in zip(kinds, subjects, strict=True) if key[0] == boundary[0]]
    if boundary[0] == WAIT:
        keys = [key for key in keys if key in feeds]
    counts = Counter(keys)
    runs = Counter(key for index, key in enumerate(keys) if not index or keys[index - 1] != key)
    usual = counts[boundary] / max(runs[boundary], 1)
    if usual < PHASE:
        return (boundary,)
    return tuple(sorted({boundary} | {key for key, count in counts.items() if count / runs[key] >= PHASE}))


def _evaluation_forwards(recording: Recording, events: SpanTable, loaders: dict[int, str]) -> frozenset[int]:
    """Eval-mode modules, less those whose calls a backward pass follows in the same turn (frozen teachers, critics)."""
    candidates = {
        number
        for number, subject in recording.subjects.items()
        if subject.kind == "forward" and subject.attrs.get("training") is False
    }
    if not candidates:
        return frozenset()
    in_step: Counter[int] = Counter()
    calls: Counter[int] = Counter()
    open_calls: list[int] = []
    for kind, subject in zip(events.kind.tolist(), events.subject.tolist(), strict=True):
        if kind == FORWARD and subject in candidates:
            calls[subject] += 1
            open_calls.append(subject)
        elif kind in (BACKWARD, OPTIMIZER):
            in_step.update(open_calls)
            open_calls.clear()
        elif kind in (WAIT, START, STOP):
            open_calls.clear()
    # Without a loader nothing parts an evaluation from the next step; there, eval mode alone decides.
    training_loader = TRAINING in loaders.values()
    state = recording.run.last(State)
    if not training_loader and state is not None and state.values.get("environments"):
        return frozenset()  # reinforcement learning: a policy in eval mode collects what the next steps train on
    return frozenset(f for f in candidates if not training_loader or in_step[f] < 0.5 * calls[f])
