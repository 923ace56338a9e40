"""Stack samples of a run whose operators record where they were called."""

from __future__ import annotations

import pytest
from synthetic import LIBRARY, SCRIPT, SyntheticRun

FORMATTED = [
    (f"{LIBRARY}/site-packages/torch/fx/traceback.py", 200, "format_stack"),
    (f"{LIBRARY}/traceback.py", 1, "walk"),
]
LAYER = (f"{LIBRARY}/site-packages/torch/nn/modules/linear.py", 100, "Linear.forward")
STEPS = 20


def record(tmp_path, below):
    run = SyntheticRun(tmp_path, "net(x)\n")
    for _ in range(STEPS):
        forward = run._subjects.number("forward", "net", "Net", None)
        with run.inside("forward", forward):
            run.spend(6.0, 1, below=below)
            run.spend(2.0, 1)
        run.backward(5.0, 2)
        run.optimizer(1.0, 3)
    return run.evidence()


def test_the_stacks_above_a_traceback_are_counted_and_its_time_is_placed(tmp_path):
    found = record(tmp_path, [LAYER, *FORMATTED]).tracebacks
    assert found is not None
    assert found.frames == pytest.approx(2)
    assert found.files == pytest.approx(2)
    assert found.shares == {"forward": pytest.approx(1.0)}


def test_a_frame_twice_in_one_file_is_looked_up_once(tmp_path):
    found = record(tmp_path, [(SCRIPT, 7, "Net.forward"), *FORMATTED]).tracebacks
    assert (found.frames, found.files) == (pytest.approx(2), pytest.approx(1))


def test_samples_without_tracebacks_say_nothing(tmp_path):
    assert record(tmp_path, [LAYER]).tracebacks is None
