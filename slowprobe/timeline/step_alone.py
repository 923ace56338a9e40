"""What a step that shared its cores with loader workers or other ranks takes alone, by trials of its operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slowprobe.timeline.op_bound import StepShares
from slowprobe.timeline.tried_edits import MIN_TRIED


@dataclass(frozen=True)
class StepAlone:
    """Of the work between two batches. The rest, Python mostly, takes turns with the workers like any other thread."""

    share: float
    """In operators, as recorded."""
    operators_s: float
    """Those, alone, on the run's threads."""
    single: float
    """Times as long on one thread, alone."""

    def region(self, threads: int, count: int) -> float:
        """Times as long on `count` of the run's `threads`: what shrinks with them does so in proportion."""
        if count >= threads:
            return 1.0
        return 1 + (self.single - 1) / (1 - 1 / threads) * (1 / count - 1 / threads)


def step_alone(costs: Mapping[str, float], shares: StepShares) -> StepAlone | None:
    """None where operators were not tried alone, or too few of them.

    The trials are of the annotated step, from one request for a batch to the next. What share of a step operators take
    beside workers differs from one to the next: it is that of the clean ones.
    """
    now, single, tried, every = (costs.get(f"operators.alone.{name}_ms") for name in ("now", "edited", "tried", "all"))
    if not now or not single or not tried or not every or shares.data >= 1 or tried < MIN_TRIED * every:
        return None
    return StepAlone(shares.operators, now / 1e3 * every / tried, single / now)
