"""What the background thread does at each beat."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slowprobe.capture.loader_cpu import LoaderCpuMeter
from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.sites import Sites
from slowprobe.capture.span_key import span_key
from slowprobe.capture.subjects import Subjects
from slowprobe.capture.upkeep import Upkeep
from slowprobe.run.writer import JOURNAL, JournalWriter

BEATS = 8


@pytest.fixture(autouse=True)
def users_interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


def test_a_beat_goes_to_the_interpreter_lock_only_where_batches_are_made_in_this_process(tmp_path: Path) -> None:
    recorder, journal = Recorder(), JournalWriter(tmp_path / JOURNAL)
    upkeep = Upkeep(recorder, journal, Subjects(journal.write, Sites()), LoaderCpuMeter(), lambda *said: None)
    upkeep.turn_taking.start()

    def sampled() -> int:
        before = upkeep.sampler.taken
        for _ in range(BEATS):
            upkeep.sample(time.perf_counter_ns())
        return upkeep.sampler.taken - before

    assert sampled() == BEATS
    assert sys.getswitchinterval() == pytest.approx(5e-3, rel=0.1), "nothing trains yet"
    wait, fetch = span_key(KIND["data_wait"], 1), span_key(KIND["fetch"], 1)
    recorder.open(wait)
    assert sampled() == BEATS
    recorder.open(fetch)
    assert sampled() in (BEATS // 2, BEATS // 2 + 1)
    recorder.close(fetch)
    recorder.close(wait)
    assert sampled() == BEATS // 2
    upkeep.turn_taking.restore()


def test_memory_is_read_twice_a_second_at_first_and_then_with_each_chunk(tmp_path: Path) -> None:
    recorder, journal = Recorder(), JournalWriter(tmp_path / JOURNAL)
    upkeep = Upkeep(recorder, journal, Subjects(journal.write, Sites()), LoaderCpuMeter(), lambda *said: None)
    for at_ms in range(0, 3_000, 10):
        upkeep.sample(recorder.origin_ns + at_ms * 1_000_000)
    upkeep.sample(recorder.origin_ns + 61 * 10**9)
    upkeep.flush(final_ns=62 * 10**9)
    upkeep.turn_taking.restore()
    journal.close()
    assert (tmp_path / JOURNAL).read_text().count('"system_busy_s"') == 6 + 1
