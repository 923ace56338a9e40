"""Where the steps of a loop over a loader begin and end, pass by pass; some passes train nothing, some ask ahead."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.recording import Ints

_END = np.iinfo(np.int64).max
Flags = npt.NDArray[np.bool_]


def cut_passes(
    requests: Ints, openers: Ints, stops: Ints, work: Ints, training: Ints, breaks: Ints
) -> tuple[Ints, Ints, Flags, int]:
    """Start, end and whether first of its pass for each step; and how many requests began no step.

    All arguments are start times in order: requests for a batch, starts of an iterator, requests that found no batch;
    `work` is anything of a training step, `training` what only a step has: backward and optimizer. `breaks` are the
    times at which the recording goes on after spans that were left out: of a pass across one, nothing can be said.
    """
    starts: list[Ints] = []
    ends: list[Ints] = []
    first: list[Flags] = []
    dropped = 0
    begins = np.concatenate([[np.iinfo(np.int64).min], openers])
    finishes = np.concatenate([openers, [_END]])
    for begin, finish in zip(begins.tolist(), finishes.tolist(), strict=True):
        mine = _within(requests, begin, finish)
        if not len(mine):
            continue
        untrained = not len(_within(training, int(mine[0]), finish))
        whole = not len(_within(breaks, int(mine[0]), finish)) and not np.isin(finish, breaks)
        if len(begins) > 2 and untrained and whole:
            dropped += len(mine)  # somebody looked at a batch, or measured the accuracy on the training data
            continue
        stop = _within(stops, int(mine[0]), finish)[:1]
        bounds = mine
        if _asked_ahead(mine, stop, _within(work, int(mine[0]), finish)):
            # The first two requests belong to the first step, the one that found no batch to the last.
            bounds = np.concatenate([mine[:1], mine[2:], stop])
            stop = stop[:0]
        starts.append(bounds)
        ends.append(np.concatenate([bounds[1:], stop if len(stop) else [finish]]))
        first.append(np.arange(len(bounds)) == 0)
    if not starts:
        return requests[:0], requests[:0], requests[:0].astype(bool), dropped
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(first), dropped


def _asked_ahead(requests: Ints, stop: Ints, work: Ints) -> bool:
    """Whether a batch is asked for before the one in hand has been worked on (Accelerate, Hugging Face Trainer)."""
    if not len(stop) or not len(work):
        return False
    asked = np.concatenate([requests, stop])
    return bool(work[0] > asked[1] and work[-1] > stop[0] and np.searchsorted(asked, work[0]) == 2)


def _within(times: Ints, begin: int, finish: int) -> Ints:
    return times[np.searchsorted(times, begin) : np.searchsorted(times, finish)]
