"""What an edit leaves of a step's operators, as they were tried after the run (`capture.operator_trials`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slowprobe.timeline.loop_changes import Factor

SPREAD = 0.25  # trials run on tensors of their own, with other things in the caches than in the loop
MIN_TRIED = 0.3  # of the time that the edit is about; less does not stand for the rest


@dataclass(frozen=True, slots=True)
class TriedEdit:
    """One edit's trial."""

    left: float
    """Of the tried operators' time."""
    share: float
    """Tried, of the time that the edit is about."""
    of_all: float
    """What the edit is about, of all operators' time."""

    @property
    def factor(self) -> Factor:
        """As measured, for the operators that were not tried, too; those may gain as much less as they are many."""
        worst = self.left + (1 - self.left) * (SPREAD + (1 - self.share) / 2)
        return Factor(self.left * (1 - SPREAD), self.left, min(1.0, max(self.left, worst)))


def tried_edit(costs: Mapping[str, float], name: str) -> TriedEdit | None:
    """None where the edit was not tried, or on too few of the operators."""
    prefix = f"operators.{name}"
    now_ms, edited_ms = costs.get(f"{prefix}.now_ms"), costs.get(f"{prefix}.edited_ms")
    all_ms, tried_ms = costs.get(f"{prefix}.all_ms"), costs.get(f"{prefix}.tried_ms", 0.0)
    if not now_ms or edited_ms is None or not all_ms or tried_ms < MIN_TRIED * all_ms:
        return None
    return TriedEdit(edited_ms / now_ms, min(1.0, tried_ms / all_ms), costs.get(f"{prefix}.of_all", 0.0))


def columns_left(costs: Mapping[str, float], part: float) -> float | None:
    """What remains of the time of operators on padded batches when `part` of the columns does; None if not tried.

    Between the parts that were tried (and below them) in a straight line.
    """
    half, quarter = tried_edit(costs, "half"), tried_edit(costs, "quarter")
    if half is None or quarter is None:
        return None
    known = ((0.25, quarter.left), (0.5, half.left), (1.0, 1.0))
    (x0, y0), (x1, y1) = known[:2] if part < 0.5 else known[1:]
    return min(1.0, max(0.0, y0 + (y1 - y0) * (part - x0) / (x1 - x0)))
