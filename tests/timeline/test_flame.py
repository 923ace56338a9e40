"""The tree of calls in the loop, from stack samples."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from slowprobe.timeline.flame import MAX_NODES, flame, walk
from slowprobe.timeline.recording import Frame, SampleRow

LAUNCH = Frame("/usr/lib/runpy.py", 9, "run_path")
MAIN, TRAIN, OTHER = (Frame("/home/me/train.py", line, name) for line, name in ((9, "main"), (4, "step"), (5, "step")))
CALL, WORK = Frame("/env/torch/module.py", 7, "Module._call_impl"), Frame("/env/torch/module.py", 8, "linear")


def recorded(*stacks: tuple[tuple[Frame, ...], str, float]) -> SimpleNamespace:
    """A recording of samples: stack, bucket, ms."""
    known = [stack for stack, _, _ in stacks]
    rows = [
        SampleRow((0, hash(bucket)), True, number, 5, round(ms * 1e6), 0, 0, 0, 0)
        for number, (_, bucket, ms) in enumerate(stacks)
    ]
    return SimpleNamespace(sampled=SimpleNamespace(rows=rows, stack=lambda number: known[number]))


def tree(*stacks: tuple[tuple[Frame, ...], str, float], scope: str = "step", **seconds: float):
    buckets = [bucket for _, bucket, _ in stacks]
    exact = {(scope, bucket): seconds.get(bucket, 1.0) for bucket in buckets}
    return flame(
        recorded(*stacks), lambda row: (scope, buckets[row.stack]), exact, lambda file: file.startswith("/home")
    )


def test_every_bucket_adds_up_and_lines_hold_what_they_call() -> None:
    root = tree(
        ((LAUNCH, MAIN, TRAIN, CALL, WORK), "forward", 30),
        ((LAUNCH, MAIN, TRAIN), "forward", 10),
        ((LAUNCH, MAIN, OTHER), "optimizer", 5),
        forward=2.0,
        optimizer=1.0,
    )
    assert root.seconds == pytest.approx(3.0)
    (main,) = root.calls.values()
    assert main.frame == MAIN and main.seconds == pytest.approx(3.0) and main.bucket == "forward"
    step = main.calls[TRAIN]
    assert step.seconds == pytest.approx(2.0) and step.users
    (work,) = step.calls.values()
    assert work.frame == WORK and work.seconds == pytest.approx(1.5) and not work.users  # the frame between is left out
    assert main.calls[OTHER].bucket == "optimizer"


def test_what_is_not_in_the_loop_is_no_part_of_it() -> None:
    assert tree(((MAIN,), "imports", 30), scope="startup").calls == {}
    assert tree(((MAIN,), "slowprobe", 30), scope="off_step").calls == {}


def test_what_takes_next_to_nothing_is_left_out_and_the_rest_is_bounded() -> None:
    small = tree(((MAIN, TRAIN), "forward", 1000), ((MAIN, OTHER), "forward", 2))
    (main,) = small.calls.values()
    assert set(main.calls) == {TRAIN} and main.seconds == pytest.approx(sum(small.buckets.values()))
    many = [((MAIN, Frame("/home/me/train.py", line, "f")), "forward", 1.0) for line in range(100)]
    deep = [(tuple(Frame("/home/me/a.py", level, "f") for level in range(500)), "forward", 50.0)]
    assert len(list(walk(tree(*many, *deep)))) <= MAX_NODES + 1


def test_without_lines_of_the_user_there_is_nothing_to_show() -> None:
    assert tree(((LAUNCH, WORK), "forward", 30)).calls == {}
