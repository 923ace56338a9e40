"""Backward: the main thread waits while the autograd engine works on a thread of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.graph.host import Stretches
from slowprobe.trace.reader import MISSING, Bools, Ints


@dataclass(frozen=True, slots=True)
class HandOvers:
    """Bursts of the engine in which the main thread was silent, in order."""

    start_ns: Ints
    end_ns: Ints
    since_ns: Ints
    """When the engine's thread was last active before; it waited from there to the start."""
    returns: Bools
    """Whether the main thread was active again later."""

    def __len__(self) -> int:
        return len(self.start_ns)

    def engine_waits(self) -> Stretches:
        """When the engine's thread waited for the main thread."""
        return Stretches(self.since_ns, self.start_ns)

    def main_waits(self) -> Stretches:
        """When the main thread waited for the engine."""
        return Stretches(self.start_ns[self.returns], self.end_ns[self.returns])


def hand_overs(main: Ints, engine: tuple[Ints, Ints], main_calls: Stretches) -> HandOvers:
    """Finds the bursts from the instants at which the main thread was active, and the engine's starts and ends.

    Whatever the engine does between two neighbouring instants of the main thread is one burst. The main thread is
    known to work, not to wait, where it is in a call of the runtime: such a burst hands nothing over.
    """
    # What the engine starts at an instant of the main thread comes after it; what it ends then came before.
    gap = np.concatenate([np.searchsorted(main, engine[0], side="right"), np.searchsorted(main, engine[1])])
    time_ns = np.concatenate(engine)
    order = np.lexsort((gap, time_ns))
    gap, time_ns = gap[order], time_ns[order]
    first = np.flatnonzero(np.diff(gap, prepend=-1))
    last = np.append(first[1:] - 1, len(gap) - 1) if len(first) else first
    start_ns, end_ns = time_ns[first], time_ns[last]
    since_ns = np.where(first > 0, time_ns[first - 1], start_ns)
    waits = (gap[first] > 0) & (end_ns > start_ns) & (main_calls.holding(start_ns) == MISSING)
    returns = gap[first] < len(main)
    return HandOvers(start_ns[waits], end_ns[waits], since_ns[waits], returns[waits])
