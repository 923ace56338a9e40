"""What a loader's batches cost once another rule's edit is made: so that workers are not advised to hide it instead."""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.rules._list_conversion import conversions, stacked
from slowprobe.diagnose.rules._row_indexing import BATCHED, by_rows
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Reload


def mended(run: Evidence, loader: LoaderFacts) -> Reload | None:
    """The change of list-to-tensor or per-item-indexing; None where neither has one."""
    if by_rows(run, loader) is not None:
        return Reload(loader.id, fetch=BATCHED, collate=BATCHED)
    lines = conversions(run, loader) if loader.role == "training" else []
    return stacked(loader, lines, None) if lines else None
