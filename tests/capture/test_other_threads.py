from __future__ import annotations

import queue
import sys
import threading
import time

import pytest

from slowprobe.capture.other_threads import OtherThreads, RunDelay
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


def test_a_thread_that_worked_and_waits_now_counts_for_where_it_was_last_seen_at_work():
    inbox, done = queue.Queue(), queue.Queue()

    def work():
        while (rounds := inbox.get()) is not None:
            sum(i * i for i in range(rounds))  # a thread that kept the interpreter all the while would be seen as here
            done.put(None)

    thread = threading.Thread(target=work)
    thread.start()
    threads = OtherThreads(lambda frame: frame.f_code.co_name)
    time.sleep(0.05)
    assert not threads.sample(others(thread.ident)), "it waits, and did nothing yet"
    inbox.put(200_000)
    done.get()
    time.sleep(0.05)
    assert threads.sample(others(thread.ident))
    ((stack, count, cpu_ns),) = threads.take()
    assert stack in ("wait", "get") and count == 1 and cpu_ns > 1e6
    inbox.put(3_000_000)
    time.sleep(0.05)
    threads.sample(others(thread.ident))
    done.get()
    time.sleep(0.05)
    threads.sample(others(thread.ident))
    ((stack, count, cpu_ns),) = threads.take()
    assert stack in ("<genexpr>", "work") and count == 2 and cpu_ns > 1e6
    inbox.put(None)
    thread.join()


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
