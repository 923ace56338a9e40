"""Lines of the step itself that turn a list into a tensor value by value: loops that make their batches themselves."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.hot_lines import sampled_lines
from slowprobe.diagnose.rules._list_conversion import (
    MIN_LEAF,
    MIN_SAMPLES,
    SLOW_BYTES_S,
    converting_call,
    left_of,
    takes_list,
)
from slowprobe.diagnose.syntax import called_name
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loop_changes import Factor, Scale
from slowprobe.timeline.made_tensors import MadeTensor

BUCKETS = ("python", "forward")
NEEDS = ("lines", "steps", "made_tensors")
MIN_BYTES = 16_384  # a smaller tensor takes so long to start that its rate says nothing


@dataclass(frozen=True)
class StepConversion:
    """One line, its time over the run, and what a step makes on it."""

    line: LineTime
    seconds: float
    """Of the whole statement."""
    call: ast.Call
    made: tuple[MadeTensor, ...]
    """Empty where no step was annotated, or the annotated one did not come here."""

    def change(self, run: Evidence) -> Scale:
        """The same with arrays that are stacked, then converted."""
        return Scale(self.line.bucket, "step", self.seconds, self.left(run), pause=True)

    def left(self, run: Evidence) -> Factor:
        """As tried after the run on arrays of these dimensions; else what is left as a rule."""
        return left_of(self.tried_ms(run), self.seconds / max(run.steps.count, 1) * 1000)

    def tried_ms(self, run: Evidence) -> float | None:
        """None where one of the tensors was not tried."""
        tried = [ms for each in self.made if (ms := run.costs.get(f"{each.trial}.stacked_ms")) is not None]
        return sum(tried) if tried and len(tried) == len(self.made) else None


def step_conversions(run: Evidence) -> list[StepConversion]:
    """By time, most first: the source says that it is a list, or no copy is as slow. Reads `NEEDS` and the source."""
    lines = [line for line in sampled_lines(run) if line.scope == "step" and line.bucket in BUCKETS]
    found: dict[tuple[str, str, int], StepConversion] = {}
    for line in lines:
        first, last = run.source.statement(line.site)
        key = line.file, line.bucket, first
        if key in found or line.samples < MIN_SAMPLES or line.leaf_share < MIN_LEAF:
            continue
        call = converting_call(run, line)
        if call is None or called_name(call) == "stack":
            continue
        seconds = sum(  # with its comprehensions, which are functions of their own before Python 3.12
            each.seconds for each in lines if (each.file, each.bucket) == key[:2] and first <= each.line <= last
        )
        made = [each for number in range(first, last + 1) for each in run.made_tensors.get((line.file, number), ())]
        size = sum(each.size for each in made)
        slow = size * run.steps.count < SLOW_BYTES_S * seconds
        named = isinstance(call.args[0], (ast.Name, ast.Attribute, ast.Subscript))
        if (named and slow and size >= MIN_BYTES) or (takes_list(run, line, call) and (slow or not size)):
            found[key] = StepConversion(line, seconds, call, tuple(made))
    return sorted(found.values(), key=lambda each: -each.seconds)
