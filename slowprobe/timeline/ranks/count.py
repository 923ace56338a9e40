"""How many processes train together."""

from __future__ import annotations

from slowprobe.run.reader import RunRecords
from slowprobe.run.schema import State


def ranks(run: RunRecords) -> int:
    """As a launcher has told them, or as torch knew once the loop ran: a script may start them itself."""
    state = run.last(State)
    known = state.values.get("ranks") if state is not None else None
    return max(run.manifest.world_size, known if isinstance(known, int) else 1)
