"""The joined dependency graph of all ranks whose traces there are."""

from __future__ import annotations

from pathlib import Path

from slowprobe.errors import TraceError
from slowprobe.timeline.device.facts import DeviceFacts, device_facts
from slowprobe.timeline.device.rows import COMMUNICATION
from slowprobe.timeline.graph.build import build_graph
from slowprobe.timeline.graph.joined import Meeting, join
from slowprobe.timeline.graph.nodes import Graph
from slowprobe.timeline.ranks.calls import collective_calls
from slowprobe.timeline.ranks.clocks import align
from slowprobe.timeline.ranks.facts import Ranks
from slowprobe.timeline.ranks.identity import distributed
from slowprobe.timeline.ranks.matching import OneRank, match
from slowprobe.trace.reader import MISSING, Trace, read_trace

MOST_BYTES = 256 << 20
"""Of trace files, as they lie on disk: above, reading all ranks once more takes longer than it tells."""


def joined_graph(trace: Trace, facts: DeviceFacts, ranks: Ranks) -> tuple[Graph, list[int]] | None:
    """All ranks as one graph, the given trace first, and their numbers in order of their place in it.

    None where no other rank's clock could be laid over this one's, the files are too large, or one is gone meanwhile.
    """
    known = {row.rank: row for row in ranks.rows if row.clock_offset_ns is not None}
    mine = next((rank for rank, row in known.items() if row.path == trace.path), None)
    others = [row for rank, row in known.items() if rank != mine]
    try:
        if mine is None or not others or sum(row.path.stat().st_size for row in others) > MOST_BYTES:
            return None
        read = [(mine, trace, facts), *((row.rank, *_read(row.path)) for row in others)]
    except (OSError, TraceError):
        return None
    calls = [
        OneRank(
            rank, distributed(each.header.get("distributed")), collective_calls(each, facts_of.rows, facts_of.steps)
        )
        for rank, each, facts_of in read
    ]
    alignment = align(calls, match(calls, ranks.world_size))
    if not alignment.aligned.all():
        return None
    rows = [facts_of.rows.row[facts_of.rows.kind == COMMUNICATION] for _, _, facts_of in read]
    meetings = [
        Meeting({place: int(rows[place][at]) for place, at in enumerate(row) if at != MISSING})
        for row in alignment.matching.at.tolist()
    ]
    offset_ns = alignment.offset_ns.tolist()
    shift_ns = [
        each.base_ns - trace.base_ns - offset_ns[place] + offset_ns[0] for place, (_, each, _) in enumerate(read)
    ]
    graph = join([build_graph(each, facts_of.rows) for _, each, facts_of in read], shift_ns, meetings)
    return None if graph is None else (graph, [rank for rank, _, _ in read])


def _read(path: Path) -> tuple[Trace, DeviceFacts]:
    trace = read_trace(path)
    facts = device_facts(trace)
    if facts is None:
        raise TraceError(f"{path.name} shows nothing that ran on a device")
    return trace, facts
