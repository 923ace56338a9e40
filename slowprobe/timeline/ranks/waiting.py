"""Of each collective, how long every rank waited for the last one, and how long the transfer took from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slowprobe.timeline.device.intervals import Cover, pieces
from slowprobe.timeline.ranks.clocks import Alignment
from slowprobe.timeline.ranks.matching import OneRank, times
from slowprobe.trace.reader import MISSING, Ints


@dataclass(frozen=True, slots=True)
class Waits:
    """[collective, rank] each, 0 where a rank takes no part; waiting + transfer = the call's duration, exactly."""

    waiting_ns: Ints
    transfer_ns: Ints
    suffered_ns: Ints
    """Waiting while the rank computed nothing; where it waits in several at once, the first has the time."""
    last: Ints
    """[collective] → the column of the rank that came last."""
    ahead_ns: Ints
    """[collective]: how much later than the last but one it came."""
    start_ns: Ints
    """[collective]: when the first rank came, by the first rank's clock."""

    def caused_ns(self) -> Ints:
        """[rank]: what others suffered in collectives where it came last; in sum, all that was suffered."""
        caused = np.zeros(self.suffered_ns.shape[1], dtype=np.int64)
        np.add.at(caused, self.last, self.suffered_ns.sum(axis=1))
        return caused


def waits(ranks: Sequence[OneRank], alignment: Alignment) -> Waits:
    """Waiting ends when the last rank has come; a kernel of NCCL runs from its rank's coming to the common end."""
    at = alignment.matching.at
    there = at != MISSING
    starts, ends = times(ranks, at, "start_ns"), times(ranks, at, "end_ns")
    if not len(at):
        none = np.zeros(at.shape, dtype=np.int64)
        return Waits(none, none, none, *(np.empty(0, dtype=np.int64) for _ in range(3)))
    came = np.where(there, starts - alignment.offset_ns, np.iinfo(np.int64).min)  # so that the absent are never last
    last, latest = came.argmax(axis=1), came.max(axis=1)
    waiting = np.clip(np.where(there, latest[:, None] - starts + alignment.offset_ns, 0), 0, ends - starts)
    suffered = np.zeros_like(waiting)
    for column, one in enumerate(ranks):
        mine = np.flatnonzero(there[:, column])
        suffered[mine, column] = _suffered(one, starts[mine, column], waiting[mine, column])
    return Waits(
        waiting_ns=waiting,
        transfer_ns=np.where(there, ends - starts - waiting, 0),
        suffered_ns=suffered,
        last=last,
        ahead_ns=latest - np.sort(came, axis=1)[:, -2],
        start_ns=np.where(there, came, np.iinfo(np.int64).max).min(axis=1),
    )


def _suffered(one: OneRank, start_ns: Ints, waiting_ns: Ints) -> Ints:
    """Of each wait, what no earlier wait covers and no computing hides."""
    order = np.argsort(start_ns, kind="stable")
    own_start, own_end = pieces(start_ns[order], (start_ns + waiting_ns)[order])
    hidden = Cover(one.calls.hidden_start_ns, one.calls.hidden_end_ns)
    suffered = np.empty_like(waiting_ns)
    suffered[order] = own_end - own_start - hidden.within(own_start, own_end)
    return suffered
