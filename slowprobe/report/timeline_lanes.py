"""Rows of a timeline: stretches of a thread, process or stream, reduced to the document's lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slowprobe.report.timeline_cells import Cells, Stretches, reduced
from slowprobe.report.timeline_document import Lane, LaneKind, StepTimeline, us
from slowprobe.report.untrusted import clean
from slowprobe.timeline.device.intervals import Cover

_NAME = 100  # characters of an event's name
_ELSEWHERE = 0.5  # of a pause on the main thread: another thread's operators fill it, so it is not Python's


@dataclass(frozen=True, slots=True)
class Row:
    """A row before it is reduced; starts and ends are relative to what the timeline shows."""

    kind: LaneKind
    label: str
    stretches: Stretches


class Names:
    """The texts that cells refer to by number, each kept once."""

    def __init__(self) -> None:
        self.table: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of a text; -1 for none."""
        return self.table.setdefault(text, len(self.table)) if text else -1


def timeline_of(label: str, rows: Sequence[Row], parts: Sequence[str], names: Names, span_ns: int) -> StepTimeline:
    """What a browser draws smoothly of `rows`; the parts of their stretches are places in `parts`."""
    cells, merged_below_ns = reduced([row.stretches for row in rows], len(parts), span_ns)
    used = sorted({int(part) for each in cells for part in np.flatnonzero(each.part_ns.sum(axis=0))})
    spoken = {number: place for place, number in enumerate(_spoken(cells))}
    texts = list(names.table)
    return StepTimeline(
        label=label,
        span_us=us(span_ns),
        merged_below_us=us(merged_below_ns),
        events=sum(len(row.stretches) for row in rows),
        parts=[parts[part] for part in used],
        names=[clean(texts[number], _NAME) for number in spoken],
        lanes=[_lane(row, each, parts, used, spoken) for row, each in zip(rows, cells, strict=True)],
        gaps=[],
        gaps_left_out=0,
        queue_us=[],
        queue_depth=[],
    )


def with_python(shown: Stretches, part: int, elsewhere: Cover, start_ns: int, end_ns: int) -> Stretches:
    """The pauses of the main thread as `part`, but for those in which autograd's own thread works."""
    opens = np.concatenate(([start_ns], shown.end_ns))
    closes = np.concatenate((shown.start_ns, [end_ns]))
    own = (closes > opens) & (elsewhere.within(opens, np.maximum(closes, opens)) < _ELSEWHERE * (closes - opens))
    starts = np.concatenate((shown.start_ns, opens[own]))
    ends = np.concatenate((shown.end_ns, closes[own]))
    parts = np.concatenate((shown.part, np.full(int(own.sum()), part)))
    order = np.argsort(starts, kind="stable")
    names = np.concatenate((shown.name, np.full(int(own.sum()), -1)))
    return Stretches(starts[order], ends[order], parts[order], names[order])


def shifted(row: Stretches, start_ns: int) -> Stretches:
    """The same from another beginning."""
    return Stretches(row.start_ns - start_ns, row.end_ns - start_ns, row.part, row.name)


def _spoken(cells: list[Cells]) -> list[int]:
    """The names that any cell bears, in order of appearance."""
    return list(dict.fromkeys(number for each in cells for number in each.name.tolist() if number >= 0))


def _lane(row: Row, cells: Cells, parts: Sequence[str], used: list[int], spoken: dict[int, int]) -> Lane:
    part_ns = cells.part_ns[:, used]
    many = np.flatnonzero((part_ns > 0).sum(axis=1) > 1).tolist()
    used_parts = [parts[part] for part in used]
    return Lane(
        kind=row.kind,
        label=row.label,
        start_us=[us(ns) for ns in cells.start_ns.tolist()],
        end_us=[us(ns) for ns in cells.end_ns.tolist()],
        busy_us=[us(ns) for ns in part_ns.sum(axis=1).tolist()],
        part=part_ns.argmax(axis=1).tolist() if len(used) else [],
        count=cells.count.tolist(),
        name=[spoken.get(number, -1) for number in cells.name.tolist()],
        mixed={str(cell): _by_part(part_ns[cell], used_parts) for cell in many},
        totals_us=_by_part(part_ns.sum(axis=0), used_parts),
    )


def _by_part(part_ns: npt.NDArray[np.int64], parts: list[str]) -> dict[str, float]:
    return {parts[place]: us(int(part_ns[place])) for place in np.flatnonzero(part_ns).tolist()}
