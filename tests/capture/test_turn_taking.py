"""The interpreter's switch interval is the user's own but for short bursts."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from slowprobe.capture.turn_taking import (
    ALONE_S,
    NATURAL_EVERY,
    WORKER_S,
    SamplingBursts,
    TurnTaking,
    wait_exactly,
)


@pytest.fixture(autouse=True)
def users_interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


def test_a_worker_is_sampled_in_bursts_and_left_alone_between() -> None:
    now = 100.0
    sys.setswitchinterval(4e-3)
    bursts = SamplingBursts(lambda: now)
    seen = {}
    for tenths in range(30):
        now = 100.0 + tenths / 10
        sampling = bursts.now()
        seen[tenths] = sampling
        assert sys.getswitchinterval() == pytest.approx(WORKER_S if sampling else 4e-3, rel=0.1)
    assert [tenths for tenths, sampling in seen.items() if sampling] == [0, 1, 2, 10, 11, 12, 20, 21, 22]


def test_what_the_user_sets_between_bursts_is_kept() -> None:
    times = iter((0.0, 0.5, 1.1, 1.5))
    bursts = SamplingBursts(lambda: next(times))
    assert not bursts.now()
    sys.setswitchinterval(2e-3)
    assert bursts.now() and not bursts.now()
    assert sys.getswitchinterval() == pytest.approx(2e-3, rel=0.1)


def test_every_beat_samples_unless_the_lock_is_to_be_measured() -> None:
    """A beat that waits for the lock as any thread would cannot sample: only where batches are made does one serve."""
    sys.setswitchinterval(5e-3)
    taking = TurnTaking()
    taking.start()
    for measures in (False, True):
        natural = []
        for _ in range(4 * NATURAL_EVERY):
            taking.adapt(contended=False, measures=measures)
            natural.append(taking.natural)
            assert sys.getswitchinterval() == pytest.approx(5e-3 if taking.natural else ALONE_S, rel=0.1)
        assert sum(natural) == (4 if measures else 0)
    taking.adapt(contended=True, measures=True)
    assert not taking.natural and sys.getswitchinterval() == pytest.approx(5e-3, rel=0.1)
    taking.restore()
    assert sys.getswitchinterval() == pytest.approx(5e-3, rel=0.1)


def test_a_sample_is_taken_at_the_users_interval() -> None:
    """Else the sampled thread, which waits meanwhile, takes the interpreter back in the middle of it."""
    sys.setswitchinterval(5e-3)
    taking = TurnTaking()
    taking.start()
    assert sys.getswitchinterval() == pytest.approx(5e-3, rel=0.1)
    taking.adapt(contended=False, measures=False)
    assert sys.getswitchinterval() == pytest.approx(ALONE_S, rel=0.1)
    taking.hold()
    assert sys.getswitchinterval() == pytest.approx(5e-3, rel=0.1)
    sys.setswitchinterval(2e-3)  # the user's
    taking.adapt(contended=False, measures=False)
    assert sys.getswitchinterval() == pytest.approx(2e-3, rel=0.1)


@pytest.mark.skipif(not Path("/proc/self/timerslack_ns").exists(), reason="no timer slack to be read here")
def test_only_the_waiting_thread_loses_its_timer_slack() -> None:
    def slack_ns() -> int:
        return int(Path(f"/proc/{threading.get_native_id()}/timerslack_ns").read_text())

    before, inside = slack_ns(), []

    def exact() -> None:
        wait_exactly()
        inside.append(slack_ns())

    thread = threading.Thread(target=exact)
    thread.start()
    thread.join()
    assert inside == [1]
    assert slack_ns() == before
