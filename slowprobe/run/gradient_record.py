"""The record of which gradients of a turn somebody uses."""

from __future__ import annotations

from slowprobe.run.record import RecordBase


class GradientUse(RecordBase, tag="gradient_use"):
    """The backward passes of one turn of the loop, read once.

    Where every gradient is used, `nodes` and what belongs to it are empty. Else, one entry a pass: `subjects` (of its
    line), `nodes` (index into `names`, in the order in which the engine runs them) and `fates` (0: needed, 1: makes
    unneeded gradients, too, 2: not needed). `wasted`: rows (module, reason, tensors, elements), with the reasons
    unowned (in no optimizer), idle (learning rate 0) and dropped (cleared before the optimizer that has them steps).
    """

    at_ns: int
    passes: int
    parameters: int
    """Of the outermost modules, which want gradients."""
    subjects: list[int] = []
    names: list[str] = []
    nodes: list[list[int]] = []
    fates: list[list[int]] = []
    wasted: list[tuple[str, str, int, int]] = []
