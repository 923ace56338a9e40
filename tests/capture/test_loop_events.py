"""What the events of the loop lead to, and when the probes may keep them to themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from slowprobe.capture import recorder as recording
from slowprobe.capture.loop_events import LoopEvents
from slowprobe.capture.recorder import Recorder
from slowprobe.capture.span_key import span_key


class Window:
    """Wants three turns."""

    def __init__(self) -> None:
        self.turns = 0

    @property
    def done(self) -> bool:
        return self.turns >= 3

    def turn(self) -> None:
        self.turns += 1


class Forward:
    learning = False

    def on_request(self) -> None: ...


def guard(topic: str, work: Callable[[], Any]) -> bool:
    work()
    return True


def events(recorder: Recorder, ended: list[int], steps: int | None = None) -> LoopEvents:
    return LoopEvents(recorder, lambda state: None, guard, steps, lambda: ended.append(1))


def turn(loop: LoopEvents) -> None:
    loop.request(1)
    loop.backward()
    loop.step(1)


def test_events_are_wanted_until_the_windows_are_done_and_again_when_modules_are_learned_anew() -> None:
    loop, window = events(Recorder(), []), Window()
    loop.window = window  # type: ignore[assignment]
    turns = 0
    while loop.listening:
        turn(loop)
        turns += 1
        assert turns < 50
    assert window.done and loop.trained
    loop.forward = Forward()  # type: ignore[assignment]
    loop.forward.learning = loop.listening = True
    for _ in range(3):
        turn(loop)
        assert loop.listening
    loop.forward.learning = False
    turn(loop)
    assert not loop.listening


@pytest.mark.parametrize(("until", "found"), [(6, True), (1, False)], ids=["around the passes", "around the first"])
def test_anomaly_detection_around_the_passes_alone_is_noticed(until: int, found: bool) -> None:
    states: list[Any] = []
    recorder = Recorder(1, 0)
    loop = LoopEvents(recorder, states.append, guard, None, lambda: None)
    for number in range(6):
        loop.request(1)
        with torch.autograd.set_detect_anomaly(number < until):
            loop.backward()
        loop.step(1)
    assert [state.values["anomaly"] for state in states] == [found]


def test_a_recording_of_n_steps_listens_to_its_end() -> None:
    ended: list[int] = []
    loop = events(Recorder(), ended, steps=30)
    turns = 0
    while not ended:
        turn(loop)
        turns += 1
        assert loop.listening and turns < 40
    assert turns == pytest.approx(30, abs=1)


def test_a_starved_flush_stops_the_recording_though_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_MAX_LOG", 1000)
    recorder = Recorder()
    loop = events(recorder, [])
    loop.listening = False
    for _ in range(400):
        recorder.open(span_key(1))
        recorder.close(span_key(1))
        loop.backward()
    assert recorder.fault is not None and "disk is too slow" in recorder.fault
