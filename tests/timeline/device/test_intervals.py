"""Unions of intervals against a brute-force count of every ns."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slowprobe.timeline.device.intervals import Cover, cut_by_claim, pieces

LENGTH = 60
interval = st.tuples(st.integers(0, LENGTH), st.integers(0, 15)).map(lambda at: (at[0], min(LENGTH, at[0] + at[1])))
intervals = st.lists(interval, max_size=12)


def columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def covered(pairs: list[tuple[int, int]]) -> list[bool]:
    return [any(start <= t < end for start, end in pairs) for t in range(LENGTH)]


@given(intervals, interval)
def test_a_cover_counts_every_ns_once(pairs, stretch):
    cover = Cover(*columns(pairs))
    truth = covered(pairs)
    assert cover.total_ns == sum(truth)
    assert cover.between(*stretch) == sum(truth[stretch[0] : stretch[1]])
    assert cover.contains(np.arange(LENGTH)).tolist() == truth
    assert (cover.start[1:] > cover.end[:-1]).all() and (cover.end > cover.start).all()
    free = [t for start, end in zip(*cover.outside(*stretch), strict=True) for t in range(start, end)]
    assert free == [t for t in range(*stretch) if not truth[t]]


@given(intervals)
def test_pieces_give_each_ns_to_the_interval_that_began_first(pairs):
    pairs = sorted(pairs, key=lambda pair: pair[0])
    start, end = pieces(*columns(pairs))
    own = [set(range(a, b)) for a, b in zip(start.tolist(), end.tolist(), strict=True)]
    taken: set[int] = set()
    for (a, b), mine in zip(pairs, own, strict=True):
        assert mine == set(range(a, b)) - taken
        taken |= mine


@given(intervals, st.lists(intervals, max_size=4))
def test_each_ns_of_a_gap_goes_to_the_first_claim_that_covers_it(gaps, claims):
    cover = Cover(*columns(gaps))
    numbered = [(number, Cover(*columns(pairs))) for number, pairs in enumerate(claims)]
    start, end, claim = cut_by_claim(cover.start, cover.end, numbered, 9)
    marks = {t: c for a, b, c in zip(start.tolist(), end.tolist(), claim.tolist(), strict=True) for t in range(a, b)}
    truth = [covered(pairs) for pairs in claims]
    expected = {
        t: next((i for i, held in enumerate(truth) if held[t]), 9) for t, idle in enumerate(covered(gaps)) if idle
    }
    assert marks == expected
    touching = end[:-1] == start[1:]
    assert (claim[1:][touching] != claim[:-1][touching]).all(), "neighbours of one claim are one piece"
