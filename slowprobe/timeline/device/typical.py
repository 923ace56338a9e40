"""Steps that stand for all of a long recording, so that a replay of it takes no longer than that of a short one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.timeline.device.partition import DevicePartition
from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.timeline.device.steps import TraceSteps
from slowprobe.trace.reader import MISSING, Ints, Trace

MOST_ROWS = 200_000
"""Of the trace: their graph takes 15 MB, and a replay a tenth of a second. Most recordings have fewer in all."""
_FEWEST = 3  # steps: in a single one, its borders would matter as much as what is between them
_LEAD = 4  # one in so many steps of the graph is in front of those that count
_ALIKE = 0.02  # the part of the time that may go elsewhere than in all steps: predictions are no more exact than that


@dataclass(frozen=True, slots=True)
class TypicalSteps:
    """Neighbouring steps, from the start of the first to the start of what follows the last."""

    lead: int
    """From this step on replays set the pace: what the host is ahead of the device takes steps to change."""
    first: int
    last: int
    """The first that is no longer among them."""
    lead_ns: int
    begin_ns: int
    end_ns: int
    whole_ns: int
    """From when the first of all steps starts, or the device work launched before it is over, to when the last one is
    over with what was launched in it."""
    """How often their time goes into that of all steps."""
    unlike: float
    """The part of their time that goes elsewhere than in all steps."""


def typical_steps(
    trace: Trace,
    rows: DeviceRows,
    steps: TraceSteps,
    partitions: tuple[DevicePartition, ...],
    idle: tuple[dict[str, int], ...],
) -> TypicalSteps | None:
    """The steps to replay; None where that is all of them.

    As many as hold `MOST_ROWS`, and of those the ones whose time divides most like that of all: by class of kernels,
    exposed communication and copies, idle time by cause, time between steps. Where none are enough alike, because what
    matters happens in few steps, twice as many, and so on.
    """
    if len(trace) <= MOST_ROWS or len(steps) <= _FEWEST:
        return None
    times_ns = _times_ns(steps, partitions, idle)
    bounds = np.append(steps.start_ns, steps.end_ns[-1])
    recorded = int(np.diff(np.searchsorted(trace.start_ns, bounds[[0, -1]]))[0])
    room = MOST_ROWS * len(steps) // max(recorded, 1)  # as many steps, with those in front of them
    count = max(_FEWEST, room - room // _LEAD)
    while (lead := -(-count // (_LEAD - 1))) + count < len(steps):
        unlike = _unlike(times_ns, count)[lead:]
        least = int(unlike.argmin())
        if unlike[least] <= _ALIKE:
            chosen = (least, least + lead, least + lead + count)
            lead_ns, begin_ns, end_ns = bounds[list(chosen)].tolist()
            whole_ns = _whole_ns(trace, rows, int(bounds[0]), int(bounds[-1]))
            return TypicalSteps(*chosen, lead_ns, begin_ns, end_ns, whole_ns, float(unlike[least]))
        count *= 2
    return None


def _times_ns(
    steps: TraceSteps, partitions: tuple[DevicePartition, ...], idle: tuple[dict[str, int], ...]
) -> npt.NDArray[np.int64]:
    """What the time of each step went to, a row a step, up to the start of the next."""
    parts = [
        {
            **{f"compute {name}": ns for name, ns in split.by_class.items()},
            "communication": split.exposed_communication_ns,
            "copy": split.exposed_copy_ns,
            **{f"idle {cause}": ns for cause, ns in causes.items()},
        }
        for split, causes in zip(partitions, idle, strict=True)
    ]
    names = sorted({name for part in parts for name in part})
    between_ns = np.append(steps.start_ns[1:] - steps.end_ns[:-1], 0)
    columns = [np.array([part.get(name, 0) for part in parts], dtype=np.int64) for name in names]
    return np.stack([*columns, between_ns], axis=1)


def _whole_ns(trace: Trace, rows: DeviceRows, begin_ns: int, end_ns: int) -> int:
    given_ns = np.where(rows.launch == MISSING, rows.start_ns, trace.start_ns[rows.launch])
    done_ns = max(end_ns, int(rows.end_ns[(given_ns >= begin_ns) & (given_ns < end_ns)].max(initial=end_ns)))
    return done_ns - min(done_ns, int(rows.end_ns[given_ns < begin_ns].max(initial=begin_ns)))


def _unlike(times_ns: Ints, count: int) -> npt.NDArray[np.float64]:
    """Of every stretch of so many steps: the part of its time that goes elsewhere than in all steps."""
    sums = np.concatenate([np.zeros_like(times_ns[:1]), np.cumsum(times_ns, axis=0)])
    stretches = (sums[count:] - sums[:-count]).astype(np.float64)
    shares = stretches / np.maximum(stretches.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.abs(shares - sums[-1] / max(int(sums[-1].sum()), 1)).sum(axis=1) / 2)
