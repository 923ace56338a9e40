"""What is open on a thread at a time, against looking at every row."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from small_traces import SmallTrace

from slowprobe.timeline.device.nesting import Nesting, thread_ids
from slowprobe.trace.reader import MISSING

LENGTH = 64


@st.composite
def nested(draw, start=0, end=LENGTH, depth=0):
    """Properly nested [start, end) in a stretch, parents first."""
    found = []
    at = start
    while at < end and depth < 4 and draw(st.booleans()):
        begin = draw(st.integers(at, end - 1))
        finish = draw(st.integers(begin + 1, end))
        found.append((begin, finish))
        found += draw(nested(begin, finish, depth + 1))
        at = finish
    return found


@given(st.lists(nested(), min_size=1, max_size=3), st.integers(0, 2))
def test_the_innermost_open_row_and_those_around_it(tmp_path_factory, threads, modulus):
    small = SmallTrace()
    for tid, pairs in enumerate(threads):
        for number, (start, end) in enumerate(pairs):
            small.host(f"{tid}.{number}", start, end - start, tid=tid)
    small.host("unrelated", 0, LENGTH, "other")
    trace = small.read(tmp_path_factory.mktemp("nesting"))
    ids = thread_ids(trace)
    nesting = Nesting(trace, ids, trace.is_category("cpu_op"))
    times = np.arange(-1, LENGTH + 1)
    wanted_rows = np.array([i % 3 == modulus for i in range(len(trace))])
    for tid, pairs in enumerate(threads):
        mine = np.flatnonzero((trace.tid == tid) & trace.is_category("cpu_op"))
        thread = int(ids[mine[0]]) if len(mine) else int(ids.max()) + 1
        found = nesting.at(np.full(len(times), thread), times * 1000)
        names = [trace.names[trace.name_id[row]] if row >= 0 else None for row in nesting.row_of(found).tolist()]
        stacks = [[i for i, (start, end) in enumerate(pairs) if start <= t < end] for t in times.tolist()]
        assert names == [f"{tid}.{stack[-1]}" if stack else None for stack in stacks]
        order = {f"{tid}.{i}": i for i in range(len(pairs))}
        rows = {order[trace.names[trace.name_id[row]]]: row for row in mine.tolist()}
        fit = [[rows[i] for i in stack if wanted_rows[rows[i]]] for stack in stacks]
        wanted = wanted_rows[nesting.rows]
        nearest = nesting.row_of(nesting.nearest(found, wanted)).tolist()
        assert nearest == [rows_[-1] if rows_ else MISSING for rows_ in fit]
        outer = nesting.outermost(wanted)
        outermost = (
            nesting.row_of(np.where(found >= 0, outer[np.maximum(found, 0)], MISSING)).tolist() if len(outer) else []
        )
        assert outermost == [rows_[0] if rows_ else MISSING for rows_ in fit] or not len(outer)


def test_a_row_without_length_is_open_where_it_starts(tmp_path):
    small = SmallTrace()
    small.host("outer", 0, 10)
    small.host("instant", 5, 0)
    trace = small.read(tmp_path)
    nesting = Nesting(trace, thread_ids(trace), trace.operators())
    found = nesting.row_of(nesting.at(np.zeros(3, dtype=np.int64), np.array([4999, 5000, 5001])))
    assert found.tolist() == [0, 1, 0]


def test_no_rows_at_all(tmp_path):
    small = SmallTrace()
    small.device("k", 0, 1)
    trace = small.read(tmp_path)
    nesting = Nesting(trace, thread_ids(trace), trace.operators())
    assert nesting.row_of(nesting.at(np.array([0]), np.array([0]))).tolist() == [MISSING]
