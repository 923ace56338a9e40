"""Reads what torch._dynamo noted about its compilations."""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import Any

from slowprobe.run.compile_record import Compilations

_SKIPPED = re.compile(r"frame skipped: (\S+) \((.+) line (\d+)\)")
_RESUMED = re.compile(r"torch_dynamo_resume_in_(.+)_at_\d+")
MAX_ROWS = 100


def read_compilations() -> Compilations | None:
    """The compilations so far; None where torch.compile was not used."""
    dynamo: Any = sys.modules.get("torch._dynamo.utils")
    config: Any = sys.modules.get("torch._dynamo.config")
    if dynamo is None or not dynamo.counters["frames"]["total"]:
        return None
    rows = [_row(each) for each in dynamo.get_compilation_metrics() if each.entire_frame_compile_time_s is not None]
    breaks: Counter[tuple[str, str, str, int]] = Counter()
    for noted in dynamo.graph_break_reasons:
        if noted.user_stack:
            frame = noted.user_stack[-1]
            breaks[_first_line(noted.reason), _function(frame.name), frame.filename, frame.lineno or 0] += 1
    skipped = [(found, text) for text in dynamo.counters["unimplemented"] if (found := _SKIPPED.search(text))]
    return Compilations(
        limit=int(getattr(config, "recompile_limit", 0)),
        rows=rows[:MAX_ROWS],
        breaks=[(*where, times) for where, times in breaks.most_common(MAX_ROWS)],
        skipped=[(found[1], found[2], int(found[3]), _first_line(text)) for found, text in skipped],
    )


def _row(noted: Any) -> tuple[str, str, str, int, float, str, bool]:
    number = str(noted.compile_id)
    gave_up = "recompile limit" in str(noted.fail_reason or "")
    reason = str(noted.recompile_reason or "").partition("User stack trace")[0].partition("  #")[0]
    place = (noted.co_name and _function(noted.co_name)) or "", noted.co_filename or "", noted.co_firstlineno or 0
    return (
        number,
        *place,
        float(noted.entire_frame_compile_time_s),
        " ".join(reason.partition(": ")[2].split()),
        gave_up,
    )


def _function(name: str) -> str:
    resumed = _RESUMED.fullmatch(name)
    return resumed[1] if resumed else name


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
