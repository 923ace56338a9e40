"""The interpreter's switch interval is the user's own but for short bursts."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from slowprobe.capture.turn_taking import WORKER_S, SamplingBursts


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
