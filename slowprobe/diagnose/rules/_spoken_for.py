"""Lines whose time a rule about saving, logging or tokenizing counts, so that general rules leave them alone."""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.rules._every_step import every_step_log
from slowprobe.diagnose.rules._media import media_lines
from slowprobe.diagnose.rules._saving import lines_of_saves
from slowprobe.diagnose.rules._tokenizing import tokenizing_lines
from slowprobe.timeline.hotspots import LineTime


def spoken_for(run: Evidence) -> set[LineTime]:
    """Lines around checkpoints, of tokenizers, and of what is logged at each step or sent as images and histograms."""
    return {*lines_of_saves(run), *media_lines(run), *every_step_log(run).lines, *tokenizing_lines(run)}
