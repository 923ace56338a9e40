"""Reads Kineto and Chrome traces into columns, in one pass and little memory."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np

from slowprobe.errors import TraceError
from slowprobe.trace.columns import Column, Ints
from slowprobe.trace.decode import decode_header
from slowprobe.trace.events import MISSING, Header
from slowprobe.trace.load import TraceFile
from slowprobe.trace.parts import Progress, read_in_parts
from slowprobe.trace.rows import Rows
from slowprobe.trace.split import EventLists
from slowprobe.trace.table import Bools, Collective, MemoryEvents, Trace
from slowprobe.trace.without_gc import without_gc

__all__ = ["MISSING", "Bools", "Collective", "Ints", "MemoryEvents", "Progress", "Trace", "read_trace"]

_MOST_ROWS = 50_000_000


def read_trace(path: Path, progress: Progress | None = None, processes: int = 1) -> Trace:
    """Reads a trace, plain or gzip, whole or cut off, in memory of about 70 bytes a row.

    ``progress`` is called now and then. processes: at most so many, where the file is large and plain text; not more
    than one in a program that is not known to guard its main module. Raises `TraceError` when the file is no trace.
    """
    found = read_in_parts(path, processes, progress) if processes > 1 else None
    if found is not None and 0 < found[0].count <= _MOST_ROWS:
        return _trace(path, *found, ())
    file = TraceFile(path)
    rows = Rows()
    with closing(file.blocks()) as blocks, without_gc():
        lists = EventLists(blocks, str(path))
        for events in lists:
            rows.add(events)
            if rows.count > _MOST_ROWS:
                raise TraceError(f"{path}: more than {_MOST_ROWS} events with a duration; record fewer steps")
            if progress is not None:
                progress(file.done_bytes, file.total_bytes)
    if not rows.count and not rows.skipped:
        if lists.lost:
            raise TraceError(f"{path}: no event of this trace can be read ({lists.reason or 'it ends early'})")
        raise TraceError(f"{path}: the trace holds no events")
    if progress is not None:
        progress(file.total_bytes, file.total_bytes)
    header, fault = (Header(), None) if lists.is_list else decode_header(lists.before, lists.after)
    warnings = [f"{path.name}: {each}" for each in (file.fault, _damage(lists, rows, file), fault) if each]
    return _trace(path, rows, header, tuple(warnings))


def _trace(path: Path, rows: Rows, header: Header, warnings: tuple[str, ...]) -> Trace:
    """The rows in order of start; empties them."""
    order = _order(rows.columns)
    columns = {name: column.take(order) for name, column in rows.columns.items()}
    for column in columns.values():
        column.flags.writeable = False
    return Trace(
        path=path,
        names=tuple(rows.names),
        categories=tuple(rows.categories.renamed),
        collectives=_by_place(rows.collectives, order),
        memory=_memory(rows.memory),
        base_ns=header.base_time_nanoseconds,
        thread_names=rows.thread_names,
        header={
            "schema_version": header.schema_version,
            "distributed": header.distributed_info,
            "devices": header.device_properties,
            "trace_name": header.trace_name,
            "record_shapes": bool(header.record_shapes),
            "with_stack": bool(header.with_stack),
        },
        skipped=dict(rows.skipped),
        warnings=warnings,
        _dims_id=columns.pop("dims_id"),
        _dims=tuple(rows.dims),
        _types_id=columns.pop("types_id"),
        _types=tuple(rows.types),
        **columns,
    )


def _damage(lists: EventLists, rows: Rows, file: TraceFile) -> str | None:
    """What the text lacks."""
    if not lists.lost and not lists.ends_early:
        return None
    read = rows.count + rows.skipped.total()
    how = " and ".join([*([lists.reason] if lists.reason else []), *(["it ends early"] if lists.ends_early else [])])
    share = lists.lost_bytes / max(1, file.text_bytes)
    return f"damaged trace ({how}); {read} events read, {lists.lost} lost ({lists.lost_bytes} bytes, {share:.1%})"


def _order(columns: dict[str, Column]) -> Ints | None:
    """Rows by start, longer ones first, ties as in the file; None where they lie so already."""
    start_ns, duration_ns = columns["start_ns"].values, columns["duration_ns"].values
    steps = np.diff(start_ns)
    if bool(((steps > 0) | ((steps == 0) & (np.diff(duration_ns) <= 0))).all()):
        return None
    order = np.argsort(start_ns, kind="stable")
    sorted_ns = start_ns[order]
    same = sorted_ns[1:] == sorted_ns[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    if len(tied):
        rows = order[tied]
        order[tied] = rows[np.lexsort((-duration_ns[rows], start_ns[rows]))]
    return order


def _by_place(collectives: dict[int, Collective], order: Ints | None) -> dict[int, Collective]:
    """By row in order of start, where they were by row in the file."""
    if order is None or not collectives:
        return collectives
    rows = np.fromiter(collectives, dtype=np.int64, count=len(collectives))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return dict(sorted(zip(place[rows].tolist(), collectives.values(), strict=True)))


def _memory(columns: list[Column]) -> MemoryEvents:
    order = np.argsort(columns[0].values, kind="stable")
    return MemoryEvents(*(column.take(order) for column in columns))
