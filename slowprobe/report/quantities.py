"""Numbers as people read them: durations, shares, factors and counts, the same in every renderer."""

from __future__ import annotations

import math
from typing import Any

from slowprobe.diagnose.finding import Finding, Range

NOTHING = "–"  # what stands for a number that is not one
WORTH_SAYING = 1.02  # a speed-up below this is not announced


def figures(value: float, digits: int = 3) -> str:
    """`value` to so many significant digits, without an exponent where people would not write one."""
    if not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size < -6 or size > 14:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - size)}f}"


def rounded(value: float) -> str:
    """A mean count: whole where it is one."""
    return f"{value:,.0f}" if math.isfinite(value) and (value >= 100 or value == round(value)) else figures(value, 2)


def seconds(value: float) -> str:
    """A duration given in seconds."""
    if not math.isfinite(value):
        return NOTHING
    size = abs(value)
    if size == 0:
        return "0 s"
    if size < 1e-6:
        return "< 1 µs"
    if size < 1e-3:
        return f"{figures(value * 1e6)} µs"
    if size < 1:
        return f"{figures(value * 1e3)} ms"
    if size < 120:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 120:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min"


def milliseconds(value: float) -> str:
    """A duration given in milliseconds."""
    return seconds(value / 1e3)


def percent(share: float) -> str:
    """A share of one, as a percentage."""
    if not math.isfinite(share):
        return NOTHING
    value = share * 100
    if value == 0:
        return "0 %"
    if abs(value) < 0.05:
        return "< 0.1 %"
    return f"{value:.1f} %" if abs(value) < 10 else f"{value:,.0f} %"


def factor(value: float) -> str:
    """A speed-up: before / after."""
    if not math.isfinite(value):
        return NOTHING
    if value < 1.095:
        return f"{value:.2f}×"
    return f"{value:.1f}×" if value < 9.95 else f"{value:,.0f}×"


def span(speedup: Range) -> str:
    """The low and high end of a speed-up, or one figure where they round to the same."""
    low, high = factor(speedup.low), factor(speedup.high)
    return low if low == high else f"{low} to {high}"


def memory(size_bytes: float) -> str:
    """A size in bytes, in GiB or MiB."""
    if not math.isfinite(size_bytes):
        return NOTHING
    gib = size_bytes / 2**30
    return f"{figures(gib)} GiB" if gib >= 1 else f"{figures(size_bytes / 2**20)} MiB"


def fact(value: Any) -> str:
    """One evidence value of any type, as text."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**18 else f"{value:.2e}" if abs(value) < 10**300 else "very large"
    if isinstance(value, float):
        return figures(value)
    if isinstance(value, list | tuple):
        return ", ".join(fact(item) for item in value[:20]) + (", …" if len(value) > 20 else "")
    if isinstance(value, dict):
        return ", ".join(f"{key}: {fact(item)}" for key, item in list(value.items())[:20])
    return str(value)


def doubts(finding: Finding) -> str:
    """Why a finding's saving is less than sure."""
    return "; ".join(finding.doubts[:4])


def all_changes(count: int) -> str:
    """How the changes of so many findings are called together."""
    return {1: "this change", 2: "both changes"}.get(count, f"all {count} changes")


def worth_saying(speedup: Range | None) -> bool:
    """Whether a speed-up is a number at all and large enough to be announced."""
    return speedup is not None and math.isfinite(speedup.expected) and speedup.expected >= WORTH_SAYING


def measured(finding: Finding) -> Range | None:
    """The speed-up `slowprobe verify` measured for this finding, if it did."""
    speedup = (finding.verified or {}).get("speedup")
    if isinstance(speedup, Range):
        return speedup
    try:
        return Range(*(float(speedup[end]) for end in ("low", "expected", "high"))) if speedup else None
    except (KeyError, TypeError, ValueError):
        return None
