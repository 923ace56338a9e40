"""What a rule returns: data that renderers draw and tools read; no markup, no prose layout."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Bottleneck = Literal[
    "input",
    "host",
    "sync",
    "transfer",
    "compute",
    "precision",
    "optimizer",
    "memory",
    "compile",
    "communication",
    "checkpoint",
    "evaluation",
    "logging",
    "startup",
    "external",
    "none",
]
Severity = Literal["high", "medium", "low"]
Confidence = Literal["high", "medium", "low"]
Status = Literal["found", "passed", "not-applicable", "not-checked", "error"]

HIGH_SHARE = 0.20  # of loop time; design §6
MEDIUM_SHARE = 0.05


class Where(msgspec.Struct, frozen=True):
    """A source line and the share of the finding's time that is spent there (0..1)."""

    file: str
    line: int
    function: str
    share: float = 1.0


class Fix(msgspec.Struct, frozen=True):
    """The edit: one or two sentences, and a unified-diff-like text in terms of the user's own line."""

    text: str
    diff: str = ""


class Range(msgspec.Struct, frozen=True):
    """A factor ≥ 1 by which loop time shrinks: before / after."""

    low: float
    expected: float
    high: float


class Saving(msgspec.Struct, frozen=True):
    """A predicted saving: `seconds` of this run's loop time, and the same as a speed-up of the loop."""

    basis: Literal["replay", "calibrated replay", "stated range", "none"]
    seconds: float
    speedup: Range


class Risk(msgspec.Struct, frozen=True):
    """What a cause threatens beside time, in a few words; such a finding stands without a saving (basis ``none``)."""

    severity: Severity
    text: str


class Finding(msgspec.Struct, kw_only=True):
    """One cause of slowness, with what it costs, where it is and the edit that mends it."""

    rule: str
    bottleneck: Bottleneck
    severity: Severity
    title: str
    summary: str
    where: list[Where]
    fix: Fix
    saving: Saving
    verified: dict[str, Any] | None = None
    evidence: dict[str, Any] = {}
    """Flat facts that support the finding: label → number, string, or a small table {columns, rows}."""
    risk: str = ""
    """What it threatens beside time; empty where time is all it costs."""
    confidence: Confidence = "high"
    """How far the saving is to be believed."""
    doubts: list[str] = []
    """Why less than that."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one rule on this run."""

    status: Status
    title: str
    reason: str
