"""The order of findings: by what they save, and a cause before an edit that only covers it up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slowprobe.timeline.loop_changes import Change, Reload, Scale

if TYPE_CHECKING:
    from slowprobe.diagnose.engine import LoadedRule
    from slowprobe.diagnose.rule import Diagnosis
    from slowprobe.timeline.replay import Outlook

    Seen = tuple[LoadedRule, Diagnosis, Outlook]

LEFT = 0.5
"""Of what a general edit would save, with the cause mended: with less, most of what it does is to cover up that cause;
with more, it has as much to do for other work. As both together save no less than the general edit alone, the cause
then saves more than half as much by itself."""


def ranked(seen: Sequence[Seen], replay: Any) -> list[Seen]:
    """Offers last, the rest by saving; a cause takes the place of the largest finding that covers it up."""

    def place(entry: Seen) -> tuple[bool, float, bool, float, str]:
        loaded, diagnosis, outlook = entry
        covering = [other[2].saved_s for other in seen if explains(entry, other, replay)]
        largest = max(covering, default=0.0)
        first = bool(covering) and largest >= outlook.saved_s
        own, taken = round(outlook.saved_s, 3), round(max(outlook.saved_s, largest), 3)  # as findings show them
        return diagnosis.offer, -taken, not first, -own, loaded.id

    return sorted(seen, key=place)


def explains(cause: Seen, general: Seen, replay: Any) -> bool:
    """Whether `cause` is of a rule that goes before `general`'s, and leaves it less than half of what it saves."""
    if general[0].id not in cause[0].rule.before or cause[1].offer or general[1].offer:
        return False
    if not _about(cause[1].changes) & _about(general[1].changes):
        return False
    together = replay.outlook([*cause[1].changes, *general[1].changes])
    return bool(together.saved_s - cause[2].saved_s < LEFT * general[2].saved_s)


def _about(changes: Sequence[Change]) -> set[int | str]:
    """The loaders whose batches change, and whether evaluation does."""
    found: set[int | str] = {change.loader for change in changes if isinstance(change, Reload)}
    scaled = any(isinstance(change, Scale) and change.bucket == "evaluation" for change in changes)
    return found | {"evaluation"} if scaled else found
