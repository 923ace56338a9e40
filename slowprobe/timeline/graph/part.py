"""The graph of a part of a trace: of long recordings, some steps answer what all of them would."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from slowprobe.timeline.device.rows import DeviceRows
from slowprobe.timeline.graph.build import build_graph
from slowprobe.timeline.graph.nodes import Graph
from slowprobe.trace.reader import MISSING, Bools, Ints, Trace


def build_part(trace: Trace, rows: DeviceRows, begin_ns: int, end_ns: int) -> Graph:
    """The graph of what was launched in a stretch of time, and of what the device still had to do when it began.

    Nodes refer to rows of the whole trace, as those of `build_graph` do.
    """
    given_ns = np.where(rows.launch == MISSING, rows.start_ns, trace.start_ns[rows.launch])
    wanted = (given_ns < end_ns) & ((given_ns >= begin_ns) | (rows.end_ns > begin_ns))
    earliest_ns = min(begin_ns, int(np.minimum(given_ns, rows.start_ns)[wanted].min(initial=begin_ns)))
    latest_ns = max(end_ns, int(rows.start_ns[wanted].max(initial=end_ns)) + 1)
    first, last = np.searchsorted(trace.start_ns, [earliest_ns, latest_ns]).tolist()
    graph = build_graph(trace.part(first, last), _of_part(rows, first, last))
    return replace(graph, row=np.where(graph.row == MISSING, MISSING, graph.row + first).astype(graph.row.dtype))


def _of_part(rows: DeviceRows, first: int, last: int) -> DeviceRows:
    """Device rows by the numbers that they, their launches and their operators have in the part."""
    mine = rows.where(_within(rows.row, first, last))

    def renumbered(numbers: Ints) -> Ints:
        return np.asarray(np.where(_within(numbers, first, last), numbers - first, MISSING))

    return replace(mine, row=mine.row - first, launch=renumbered(mine.launch), operator=renumbered(mine.operator))


def _within(numbers: Ints, first: int, last: int) -> Bools:
    return np.asarray((numbers >= first) & (numbers < last))
