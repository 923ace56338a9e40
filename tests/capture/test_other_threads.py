from __future__ import annotations

import sys
import threading
import time
from types import SimpleNamespace

import pytest

from slowprobe.capture import other_threads
from slowprobe.capture.other_threads import MAX_CLOCKS, OtherThreads, RunDelay
from slowprobe.capture.sampler import StackSampler
from slowprobe.run.sample_records import OtherThreads as OtherThreadsRecord


@pytest.fixture
def busy():
    done, started = [], threading.Event()

    def count():
        started.set()
        number = 0
        while not done:
            number += 1

    thread = threading.Thread(target=count)
    thread.start()
    started.wait()
    yield thread
    done.append(True)
    thread.join()


def others(*kept):
    mine = threading.get_ident()
    return {ident: frame for ident, frame in sys._current_frames().items() if ident != mine and ident in kept}


def test_a_thread_at_work_is_counted_with_its_cpu_time(busy):
    threads = OtherThreads(lambda frame: 7)
    assert threads.sample(others(busy.ident))
    until = time.perf_counter() + 0.2
    while time.perf_counter() < until:
        time.sleep(0.01)
    assert threads.sample(others(busy.ident))
    ((stack, count, cpu_ns),) = threads.take()
    assert (stack, count) == (7, 2)
    assert 0 < cpu_ns < 1e9
    assert threads.take() == []


def test_a_thread_that_waits_is_not():
    event = threading.Event()
    thread = threading.Thread(target=event.wait)
    thread.start()
    time.sleep(0.05)
    threads = OtherThreads(lambda frame: 7)
    assert not threads.sample(others(thread.ident))
    assert threads.take() == []
    event.set()
    thread.join()


def at(file, function):
    return SimpleNamespace(f_code=SimpleNamespace(co_filename=file, co_name=function))


@pytest.fixture
def clocks(monkeypatch):
    """CPU time by thread, in ns."""
    times = dict.fromkeys(range(100), 0)
    monkeypatch.setattr(other_threads, "thread_cpu_clock", lambda thread: lambda: times[thread])
    return times


def test_a_thread_that_worked_and_waits_now_counts_for_where_it_was_last_seen_at_work(clocks):
    threads = OtherThreads(lambda frame: frame.f_code.co_name)
    waiting, working = at("/usr/lib/python3.11/queue.py", "get"), at("/home/someone/train.py", "write")
    assert not threads.sample({1: waiting}), "it waits, and did nothing yet"
    clocks[1] += 3_000_000
    assert threads.sample({1: waiting})
    assert threads.take() == [["get", 1, 3_000_000]], "it was never seen at work"
    clocks[1] += 1_000_000
    threads.sample({1: working})
    for _ in range(3):  # too little each time, and not lost
        clocks[1] += 90_000
        threads.sample({1: waiting})
    assert threads.take() == [["write", 2, 1_270_000]]


def test_a_busy_thread_is_seen_beside_many_that_wait(clocks):
    threads = OtherThreads(lambda frame: frame.f_code.co_name)
    idle = {thread: at("/usr/lib/python3.11/queue.py", "get") for thread in range(MAX_CLOCKS + 1)}
    assert threads.sample({**idle, 99: at("/home/someone/train.py", "write")})
    assert [row[:2] for row in threads.take()] == [["write", 1]]


def test_the_sampler_records_whose_line_it_is(busy):
    sampler = StackSampler(threading.get_ident(), 0, lambda: (0, False))
    taken = []

    def look():
        sampler.sample()
        taken.extend(sampler.take())

    looking = threading.Thread(target=look)
    looking.start()
    looking.join()
    assert sampler.contended
    (record,) = [each for each in taken if isinstance(each, OtherThreadsRecord)]
    functions = {name for _, _, _, name in taken[0].frames}
    assert any("count" in name for name in functions)
    assert record.rows


def test_the_run_delay_of_a_thread_that_is_gone_is_unknown():
    assert RunDelay(-1).take() == -1
