"""Cells of the timeline: few, and without losing a nanosecond."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowprobe.report.timeline_cells import MOST_CELLS, Layer, Stretches, flattened, innermost, painted, reduced


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def row(*stretches: tuple[int, int, int]) -> Stretches:
    starts, ends, parts = (ints(*column) for column in zip(*stretches, strict=True))
    return Stretches(starts, ends, parts, np.arange(len(starts)))


def test_later_layers_cover_earlier_ones() -> None:
    python = Layer(0, ints(0), ints(100), ints(-1))
    operators = Layer(1, ints(10, 15), ints(40, 30), ints(5, 5))
    launches = Layer(2, ints(20), ints(25), ints(6))
    shown = painted([python, operators, launches], 0, 60)
    assert list(zip(shown.start_ns.tolist(), shown.end_ns.tolist(), shown.part.tolist(), strict=True)) == [
        (0, 10, 0),
        (10, 20, 1),
        (20, 25, 2),
        (25, 40, 1),
        (40, 60, 0),
    ]
    assert shown.name.tolist() == [-1, 5, 6, 5, -1]


def test_bare_time_is_left_out() -> None:
    shown = painted([Layer(3, ints(50, 10), ints(60, 20), ints(8, 7))], 0, 100)
    assert shown.start_ns.tolist() == [10, 50] and shown.end_ns.tolist() == [20, 60]
    assert shown.name.tolist() == [7, 8]
    assert len(painted([], 0, 100)) == 0


def test_neighbours_of_one_part_keep_their_names() -> None:
    shown = painted([Layer(1, ints(0, 10, 20), ints(10, 20, 30), ints(4, 4, 9))], 5, 28)
    assert shown.start_ns.tolist() == [5, 20] and shown.end_ns.tolist() == [20, 28]
    assert shown.name.tolist() == [4, 9]


def test_overlapping_events_count_once() -> None:
    shown = flattened(ints(30, 0, 5, 25), ints(40, 20, 10, 35), ints(3, 0, 1, 2), ints(3, 0, 1, 2), 2, 38)
    assert shown.start_ns.tolist() == [2, 25, 35]
    assert shown.end_ns.tolist() == [20, 35, 38]
    assert shown.name.tolist() == [0, 2, 3]


def test_each_moment_belongs_to_the_innermost_event() -> None:
    starts, ends = ints(0, 10, 20, 60, 120), ints(100, 50, 30, 140, 130)
    shown = innermost(starts, ends, ints(0, 1, 2, 3, 4), ints(0, 1, 2, 3, 4), 5, 125)
    assert list(zip(shown.start_ns.tolist(), shown.end_ns.tolist(), shown.part.tolist(), strict=True)) == [
        (5, 10, 0),
        (10, 20, 1),
        (20, 30, 2),
        (30, 50, 1),
        (50, 60, 0),
        (60, 100, 3),  # it outlives the first, and is cut
        (120, 125, 4),
    ]
    assert len(innermost(ints(), ints(), ints(), ints(), 0, 10)) == 0


def test_few_events_stay_as_they_are() -> None:
    lane = row((0, 1, 0), (1, 2, 1), (2, 3, 0))
    (cells,), below_ns = reduced([lane], 2, 1_000_000)
    assert below_ns == 0 and cells.count.tolist() == [1, 1, 1]


def test_long_events_survive_among_short_ones() -> None:
    short = [(at, at + 3, 0) for at in range(0, 500_000, 5)]
    lane = row(*short, (500_000, 900_000, 1))
    (cells,), below_ns = reduced([lane], 2, 1_000_000, most=200)
    assert len(cells) <= 200 and below_ns > 0
    assert (cells.start_ns[-1], cells.end_ns[-1], cells.count[-1]) == (500_000, 900_000, 1)
    assert cells.part_ns.sum(axis=0).tolist() == [300_000, 400_000]
    assert cells.count.sum() == len(lane)


def test_cell_is_named_after_its_longest_event() -> None:
    lane = row((0, 2, 0), (3, 9, 1), (10, 11, 0), *[(at, at + 1, 0) for at in range(5_000, 9_000, 2)])
    (cells,), _ = reduced([lane], 2, 10_000, most=20)
    assert cells.name[0] == 1 and cells.part_ns[0].argmax() == 1


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 400), st.integers(1, 3_000), st.integers(0, 3)), min_size=1, max_size=120),
        min_size=1,
        max_size=4,
    ),
    st.integers(5, 60),
)
def test_no_time_and_no_event_is_dropped(events: list[list[tuple[int, int, int]]], most: int) -> None:
    rows = []
    for lane in events:
        at, stretches = 0, []
        for pause, length, part in lane:
            stretches.append((at + pause, at + pause + length, part))
            at += pause + length
        rows.append(row(*stretches))
    span = max(int(lane.end_ns[-1]) for lane in rows)
    cells, _ = reduced(rows, 4, span, most)
    assert sum(map(len, cells)) <= max(most, len(rows))
    for lane, shown in zip(rows, cells, strict=True):
        for part in range(4):
            mine = lane.part == part
            assert shown.part_ns[:, part].sum() == (lane.end_ns - lane.start_ns)[mine].sum()
        assert shown.count.sum() == len(lane)
        assert (shown.start_ns[1:] >= shown.end_ns[:-1]).all()
        assert (shown.part_ns.sum(axis=1) <= shown.end_ns - shown.start_ns).all()


@pytest.mark.parametrize("count", [10, 100_000])
def test_default_is_smooth(count: int) -> None:
    lane = row(*[(at * 10, at * 10 + 7, at % 3) for at in range(count)])
    cells, _ = reduced([lane] * 6, 3, 10 * count)
    assert sum(map(len, cells)) <= MOST_CELLS
