"""What an optimizer's steps were tried to take after the run."""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.timeline.facts import SpanFacts


def number_of(run: Evidence, facts: SpanFacts) -> int | None:
    """The number of the optimizer's subject, by which costs are named."""
    return next(
        (
            number
            for number, subject in run.recording.subjects.items()
            if subject.kind == "optimizer" and subject.site == facts.where and subject.attrs == facts.attrs
        ),
        None,
    )


def tried_ms(run: Evidence, facts: SpanFacts) -> tuple[float, float] | None:
    """A step as it is and with fused=True, in ms, each measured apart; None where that was not tried."""
    number = number_of(run, facts)
    now, fused = (run.costs.get(f"optimizer.{number}.{form}_ms") for form in ("default", "fused"))
    return (now, fused) if now and fused else None
