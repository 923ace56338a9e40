"""What holds the training thread up in a CPU window: work in operators, starting them, or Python between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slowprobe.timeline.op_tree import OpTree

Bound = Literal["op-bound", "dispatch-bound", "python-bound", "mixed"]

LAUNCH_GAP_US = 25.0
"""A shorter gap between two operators is the price of calling the next one: a bytecode or two, argument parsing, an
nn.Module call or three (1 to 10 µs each, with the profiler's own microsecond). A longer one is other code."""
MAJORITY = 0.5
"""Removing a cause pays at most 1/(1-share): below half the time, no single cause can halve the step."""


@dataclass(frozen=True, slots=True)
class StepShares:
    """A partition of the training thread's time inside steps; the fields add up to 1."""

    work: float
    """In operators, beyond their fixed cost."""
    dispatch: float
    """In operators, fixed cost."""
    launch_gap: float
    """In no operator, in gaps up to `LAUNCH_GAP_US`: calling the next operator."""
    python: float
    """In no operator, in longer gaps: Python, other libraries, I/O, sleep."""
    data: float
    """Under enumerate(DataLoader)."""
    engine: float
    """Waiting while the backward engine worked on another thread."""

    @property
    def between_ops(self) -> float:
        """In no operator and not waiting for data or the engine."""
        return self.launch_gap + self.python

    @property
    def operators(self) -> float:
        """In operators, of the time between a batch's arrival and the next request; 0 where there is none."""
        working = 1 - self.data
        return min(1.0, (self.work + self.dispatch + self.engine) / working) if working > 0 else 0.0


def shares_of(tree: OpTree, dispatch_ns: list[int]) -> StepShares:
    """Shares over all steps of a window."""
    total = work = dispatch = launch = python = data = engine = 0
    for step in tree.steps:
        for i, gap in zip(step.launches, step.gaps_ns, strict=True):
            work += tree.duration_ns[i] - dispatch_ns[i]
            dispatch += dispatch_ns[i]
            launch, python = (launch + gap, python) if gap <= LAUNCH_GAP_US * 1000 else (launch, python + gap)
        for gap in step.other_gaps_ns:
            launch, python = (launch + gap, python) if gap <= LAUNCH_GAP_US * 1000 else (launch, python + gap)
        total += step.end_ns - step.start_ns
        data += step.data_ns
        engine += step.elsewhere_ns
    parts = [part / total if total else 0.0 for part in (work, dispatch, launch, python, data, engine)]
    return StepShares(*parts)


def decide(shares: StepShares, launches_per_step: float) -> tuple[Bound, str]:
    """Which side has the majority of the step without its wait for data, and the figures in words."""
    computing = 1 - shares.data
    if computing <= 0:
        return "mixed", "The window holds nothing but waiting for data."
    work = (shares.work + shares.engine) / computing
    starting = (shares.dispatch + shares.launch_gap) / computing
    python = shares.python / computing
    whole = "the step" if shares.data < 0.005 else f"the step without its wait for data ({shares.data:.0%} of it)"
    figures = (
        f"Of {whole}, {work:.0%} is work inside operators, {starting:.0%} the fixed cost of starting "
        f"{launches_per_step:.0f} of them, {python:.0%} outside operators (Python, other libraries, I/O)."
    )
    bounds: tuple[tuple[Bound, float], ...] = (
        ("op-bound", work),
        ("dispatch-bound", starting),
        ("python-bound", python),
    )
    for bound, share in bounds:
        if share >= MAJORITY:
            return bound, figures
    return "mixed", figures
