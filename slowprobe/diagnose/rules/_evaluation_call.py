"""Where the training loop calls the evaluation: shared by the rules about evaluating."""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.turns import Turn, turn_of
from slowprobe.run.record import Site


def loop_call(run: Evidence) -> Turn | None:
    """The statement in the training loop that evaluations were reached by; None where no stack sample shows it.

    A function that both training and evaluation call (a loss) has callers in both: only the stack tells which it was.
    """
    for sites in run.evaluation_stacks:
        for site in sites:
            turn = turn_of(run.source, site)
            if turn is not None and turn.trains and not turn.called:
                return turn
    return None


def loop_call_of(run: Evidence, site: Site | None) -> Turn | None:
    """The same; where no sample shows it, what the source says of the line `site` inside the evaluation."""
    return loop_call(run) or turn_of(run.source, site)
