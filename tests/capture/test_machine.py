"""Readings of the machine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import pytest

from slowprobe.capture import machine


class Times(NamedTuple):
    user: float
    system: float
    idle: float
    iowait: float
    steal: float
    guest: float
    guest_nice: float


def test_time_of_guests_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux has it in user time, too; what was stolen by other guests of the host is busy, and not ours."""
    times = Times(user=40.0, system=5.0, idle=50.0, iowait=2.0, steal=3.0, guest=10.0, guest_nice=1.0)
    monkeypatch.setattr(machine, "psutil", SimpleNamespace(**vars(machine.psutil) | {"cpu_times": lambda: times}))
    reading = machine.ResourceMeter(0).read({"forward": 3})
    assert (reading.system_busy_s, reading.system_idle_s) == (48.0, 52.0)


@pytest.mark.parametrize(("told", "known"), [("4", 4), ("", None), ("four", None), ("0", None)])
def test_ranks_on_this_machine_are_the_launchers_word(
    monkeypatch: pytest.MonkeyPatch, told: str, known: int | None
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", told)
    assert machine.describe_host()["local_world_size"] == known
