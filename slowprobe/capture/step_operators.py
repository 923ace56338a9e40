"""The operators of an annotated profiler window, each with what is needed to call it again on synthetic tensors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_OWN = "aten::"
_MADE = "aten::lift_fresh"  # torch.tensor, as_tensor and from_numpy end in it
MIN_NS = 10_000  # annotated; a shorter call is mostly its own start, and there may be tens of thousands


@dataclass(frozen=True)
class Operator:
    """Calls of one operator with arguments of the same types, sizes and strides."""

    name: str
    types: tuple[str, ...]
    """As the profiler writes them: ``float``, ``c10::BFloat16``, ``Scalar``, …"""
    sizes: tuple[Any, ...]
    strides: tuple[Any, ...]
    values: tuple[Any, ...]
    """Of arguments that are no tensors."""
    calls: int
    spent_ns: int
    """All calls together, as profiled."""


def step_operators(events: Iterable[Any]) -> list[Operator]:
    """The outermost operators of each thread but the shortest, those that took longest first.

    events: of `kineto_results.events()`, recorded with shapes.
    """
    mine = sorted((event for event in events if event.name().startswith(_OWN)), key=lambda event: event.start_ns())
    until: dict[int, int] = {}
    found: dict[str, list[Any]] = {}
    for event in mine:
        thread, start = event.start_thread_id(), event.start_ns()
        if event.duration_ns() < MIN_NS or start < until.get(thread, 0):
            continue  # the latter: called by another
        until[thread] = start + event.duration_ns()
        arguments = (event.dtypes(), event.shapes(), event.structured_input_strides(), event.concrete_inputs())
        if len({len(each) for each in arguments}) > 1:
            continue  # sparse tensors have no strides, and the profiler leaves them out
        row = found.setdefault(f"{event.name()} {arguments}", [event.name(), arguments, 0, 0])
        row[2] += 1
        row[3] += event.duration_ns()
    operators = [
        Operator(name, tuple(types), tuple(sizes), tuple(strides), tuple(values), calls, spent_ns)
        for name, (types, sizes, strides, values), calls, spent_ns in found.values()
    ]
    return sorted(operators, key=lambda each: -each.spent_ns)


def made_tensors(events: Iterable[Any]) -> list[tuple[list[int], str]]:
    """Distinct dimensions and types (as the profiler writes them) of the tensors made of what was no tensor."""
    found: dict[str, tuple[list[int], str]] = {}
    for event in events:
        if event.name() == _MADE and event.shapes() and event.shapes()[0]:
            made = list(event.shapes()[0]), str(event.dtypes()[0])
            found[str(made)] = made
    return list(found.values())
