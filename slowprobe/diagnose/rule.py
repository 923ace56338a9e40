"""The rule protocol: what a rule declares, what it may return, and what it never has to do.

A rule is a module in `slowprobe.diagnose.rules`. Its id is the file name with hyphens; its docstring is its
documentation. It holds

    RULE = Rule(title="…", bottleneck="input", needs=("steps", "loaders"))

    def check(run) -> Diagnosis | list[Diagnosis] | Verdictless

`run` has exactly the evidence named in `needs`. A rule says what it saw and which edit mends it; what the edit saves is
computed by the engine, by replaying the recorded loop with the rule's `changes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from slowprobe.diagnose.finding import Bottleneck, Fix, Risk, Where
from slowprobe.run.record import Site
from slowprobe.timeline.loop_changes import Change


@dataclass(frozen=True)
class Rule:
    """What a rule is about, and the evidence it reads (names of `Evidence` attributes)."""

    title: str
    bottleneck: Bottleneck
    needs: tuple[str, ...]
    closer_than: tuple[str, ...] = ()
    """Rules that see the same lines and know less of them: they yield where a finding of this one names their line."""
    before: tuple[str, ...] = ()
    """Rules that know less of what they find, or whose edits only do the same work elsewhere or keep all that it makes:
    of the same loader, or of evaluation, they come after a finding of this one that leaves them little to save (see
    `ranking`)."""


@dataclass(frozen=True)
class Diagnosis:
    """A cause that was seen. `changes` is what the fix does to the recorded loop; the engine replays it."""

    summary: str
    where: Sequence[Where]
    fix: Fix
    changes: Sequence[Change]
    basis: Literal["replay", "calibrated replay", "stated range"] = "replay"
    title: str = ""
    """Overrides the rule's title, to name the thing at hand."""
    evidence: dict[str, Any] = field(default_factory=dict)
    covers: Sequence[Site] = ()
    """Lines below those of `where` whose time it is, too: no other finding is to name them (see `Rule.closer_than`)."""
    bottleneck: Bottleneck | None = None
    """Overrides the rule's: what is wrong with a loader that evaluation waits for is evaluation's."""
    offer: bool = False
    """An option and no fault: it changes what training computes (lower precision), or nothing is known of how to do it
    (a cheaper operation, if there is one). Always of low severity, and no part of the verdict."""
    risk: Risk | None = None
    """What it threatens beside time (memory, wrong data): then it is a finding even where it saves nothing."""


@dataclass(frozen=True)
class Passed:
    """The rule looked and found nothing to mend; `reason` names the figure that says so."""

    reason: str


@dataclass(frozen=True)
class NotApplicable:
    """There is nothing here that the rule could be about (no evaluation, no worker processes)."""

    reason: str


@dataclass(frozen=True)
class NotChecked:
    """The rule could not look: a signal is missing or too weak."""

    reason: str


Answer = Diagnosis | list[Diagnosis] | Passed | NotApplicable | NotChecked
