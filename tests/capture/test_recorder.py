"""Spans and their totals on a fake clock: nothing is lost, and everything adds up whatever the nesting."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slowprobe.capture import totals
from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.span_key import span_key, split_key
from slowprobe.capture.span_rows import ENDED
from slowprobe.capture.totals import Totals
from slowprobe.run.schema import Chunk, Spans

FORWARD, BACKWARD, WAIT, END = KIND["forward"], KIND["backward"], KIND["data_wait"], KIND["loader_end"]
GC, LOG = KIND["gc"], KIND["log"]


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(clock: Clock) -> Recorder:
    return Recorder(clock)


def rows(recorder: Recorder) -> list[tuple[int, ...]]:
    """(kind, subject, start, duration, self, depth) of the spans closed since the last call."""
    return [(*split_key(key), *rest) for key, *rest in recorder.take().tolist()]


def test_self_time_excludes_nested_spans(recorder: Recorder, clock: Clock) -> None:
    recorder.open(span_key(FORWARD, 1))
    clock.now = 10
    recorder.open(span_key(LOG, 2))
    clock.now = 14
    recorder.close(span_key(LOG, 2))
    clock.now = 20
    recorder.close(span_key(FORWARD, 1))
    assert rows(recorder) == [(LOG, 2, 10, 4, 4, 1), (FORWARD, 1, 0, 20, 16, 0)]
    assert recorder.stack == []
    assert rows(recorder) == []


def test_span_left_open_by_an_exception_is_closed_by_the_outer_one(recorder: Recorder, clock: Clock) -> None:
    recorder.open(span_key(FORWARD, 1))
    clock.now = 5
    recorder.open(span_key(LOG, 2))
    recorder.open(span_key(LOG, 3))
    clock.now = 9
    recorder.close(span_key(FORWARD, 1))
    assert rows(recorder) == [(LOG, 3, 5, 4, 4, 2), (LOG, 2, 5, 4, 0, 1), (FORWARD, 1, 0, 9, 5, 0)]
    assert recorder.stack == []


def test_end_without_begin_is_nothing(recorder: Recorder) -> None:
    recorder.open(span_key(FORWARD, 1))
    recorder.close(span_key(BACKWARD, 1))
    assert len(recorder.stack) == 1 and rows(recorder) == []


def test_a_beginning_that_an_interrupt_kept_from_the_stack_leaves_later_spans_whole(
    recorder: Recorder, clock: Clock
) -> None:
    recorder.open(span_key(FORWARD, 1))
    recorder.stack.pop()  # Ctrl-C between logging the beginning and noting it
    for start in (10, 20):
        clock.now = start
        recorder.open(span_key(LOG, 2))
        clock.now = start + 4
        recorder.close(span_key(LOG, 2))
    assert [row[:5] for row in rows(recorder)] == [(LOG, 2, 10, 4, 4), (LOG, 2, 20, 4, 4)]


def test_spans_that_outlast_several_pieces_of_the_log_are_whole(recorder: Recorder, clock: Clock) -> None:
    recorder.open(span_key(FORWARD, 1))
    recorder.open(span_key(LOG, 2))
    for _ in range(3):
        clock.now += 10
        recorder.open(span_key(GC, 3))
        clock.now += 2
        recorder.close(span_key(GC, 3))
        assert len(rows(recorder)) == 1
        assert recorder.open_rows() == [[FORWARD, 1, 0], [LOG, 2, 0]]
    recorder.close(span_key(LOG, 2))
    clock.now += 5
    assert rows(recorder) == [(LOG, 2, 0, 36, 30, 1)]
    recorder.close(span_key(FORWARD, 1))
    assert rows(recorder) == [(FORWARD, 1, 0, 41, 5, 0)]
    assert recorder.open_rows() == []


def test_a_request_that_ends_the_pass_changes_its_kind(recorder: Recorder, clock: Clock) -> None:
    recorder.open(span_key(WAIT, 4))
    clock.now = 3
    recorder.close(span_key(WAIT, 4), as_kind=END)
    assert rows(recorder) == [(END, 4, 0, 3, 3, 0)]
    assert recorder.last_key == END << 32 | 4


def test_a_fault_disables_and_never_raises(recorder: Recorder) -> None:
    def broken() -> int:
        raise RuntimeError("no clock")

    recorder.clock = broken
    recorder.open(span_key(FORWARD, 1))
    recorder.close(span_key(FORWARD, 1))
    assert not recorder.enabled and not recorder.here()
    assert recorder.fault is not None and "no clock" in recorder.fault


def test_taking_keeps_what_is_added_meanwhile(recorder: Recorder) -> None:
    """The training thread may hold the log, about to add, at the moment the flushing thread takes it."""
    held = recorder._write
    recorder.open(span_key(FORWARD, 1))
    recorder.close(span_key(FORWARD, 1))
    assert len(recorder.take()) == 1
    held((span_key(LOG, 1), 5))
    held((ENDED, 6))
    assert len(recorder.take()) == 1


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from([FORWARD, BACKWARD, WAIT, LOG]), st.integers(1, 3)),
        st.tuples(st.just("close"), st.integers(0, 2), st.integers(0, 3)),
        st.tuples(st.just("collect"), st.integers(1, 50), st.just(0)),
        st.tuples(st.just("pass"), st.integers(0, 1000), st.just(0)),
        st.tuples(st.just("flush"), st.booleans(), st.just(0)),
    ),
    max_size=80,
)


@settings(max_examples=300, deadline=None)
@given(actions=ACTIONS, rest=st.integers(0, 500))
def test_totals_add_up_to_the_time_covered(actions: list[Any], rest: int) -> None:
    clock = Clock()
    recorder, sums = Recorder(clock), Totals(0)
    written: list[Any] = []
    closed = 0
    for action, first, second in actions:
        clock.now += 1
        if action == "open" and len(recorder.stack) < 6:
            recorder.open(span_key(first, second))
        elif action == "close" and recorder.stack:
            index = max(0, len(recorder.stack) - 1 - first)  # sometimes an outer one: an exception went through
            recorder.close(recorder.stack[index])
        elif action == "collect":
            recorder.open(span_key(GC, 9))
            clock.now += first
            recorder.close(span_key(GC, 9))
        elif action == "pass":
            clock.now += first
        elif action == "flush":
            written += sums.add(recorder.take())
            if first:
                written += sums.chunk(clock.now, [])
    recorder.close_all()
    clock.now += rest
    closed = recorder.closed
    written += sums.add(recorder.take())
    written += sums.chunk(clock.now, [], final=True)

    chunks = [record for record in written if isinstance(record, Chunk)]
    spans = [record for record in written if isinstance(record, Spans)]
    own = sum(row[3] for chunk in chunks for row in chunk.spans)
    gaps = sum(row[5] for chunk in chunks for row in chunk.gaps)
    assert own + gaps == clock.now == chunks[-1].end_ns
    assert sum(row[2] for chunk in chunks for row in chunk.spans) == closed
    assert [chunk.start_ns for chunk in chunks[1:]] == [chunk.end_ns for chunk in chunks[:-1]]
    assert sum(len(record.kind) for record in spans) == closed == sum(chunk.raw for chunk in chunks)
    assert sum(sum(record.self_ns) for record in spans) == own


@settings(max_examples=50, deadline=None)
@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=40), head=st.integers(0, 100), tail=st.integers(1, 50))
def test_totals_stay_exact_when_spans_thin_out(counts: list[int], head: int, tail: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(totals, "HEAD_SPANS", head)
        patch.setattr(totals, "LATER_SPANS", 40)
        patch.setattr(totals, "TAIL_SPANS", tail)
        clock = Clock()
        recorder, sums = Recorder(clock), Totals(0)
        written: list[Any] = []
        for index, count in enumerate(counts):
            for _ in range(count):
                clock.now += 3
                recorder.open(span_key(FORWARD, 1))
                clock.now += 7
                recorder.close(span_key(FORWARD, 1))
            written += sums.add(recorder.take())
            written += sums.chunk(clock.now, [], final=index == len(counts) - 1)
        total = sum(counts)
        chunks = [record for record in written if isinstance(record, Chunk)]
        assert sum(row[2] for chunk in chunks for row in chunk.spans) == total
        assert sum(row[3] for chunk in chunks for row in chunk.spans) == 7 * total
        assert sum(row[5] for chunk in chunks for row in chunk.gaps) == 3 * total
        spans = [record for record in written if isinstance(record, Spans)]
        kept = sorted((record.base_ns + start, record.stretch) for record in spans for start in record.start)
        assert len(kept) == len({start for start, _ in kept}) <= total
        assert kept[-1][0] == clock.now - 7  # the end of the run is always kept
        for (start, stretch), (following, same) in pairwise(kept):
            assert stretch != same or following == start + 10  # within a stretch nothing is missing
