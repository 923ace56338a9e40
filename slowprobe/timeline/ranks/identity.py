"""Which rank of which job a trace is of: from what it says of itself, else from its file name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

# worker0.171234.pt.trace.json, rank-3.json, job_r3.json: the word, then the number.
_NAMED = re.compile(r"(?:^|(?<=[^a-z0-9]))(worker|rank|r)([-_.]?)(\d{1,6})(?=$|[^a-z0-9])", re.IGNORECASE)
_STAMP = re.compile(r"\d{9,}")  # seconds or finer since 1970: differs between the ranks of one recording
_ENDINGS = (".gz", ".json", ".trace", ".pt")
_MOST_RANKS = 1 << 20


@dataclass(frozen=True, slots=True)
class Distributed:
    """What the header of a trace says of its job; None where it does not."""

    rank: int | None = None
    world_size: int | None = None
    groups: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Process groups by name, with their ranks."""


def distributed(info: Any) -> Distributed:
    """Reads `distributedInfo`, which may be anything."""
    if not isinstance(info, dict):
        return Distributed()
    groups = []
    for entry in info.get("pg_config") or () if isinstance(info.get("pg_config"), list) else ():
        if isinstance(entry, dict) and "pg_name" in entry:
            ranks = entry.get("ranks")
            members = tuple(r for r in ranks if _is_count(r)) if isinstance(ranks, list) else ()
            groups.append((str(entry["pg_name"]), members))
    rank, size = info.get("rank"), info.get("world_size")
    return Distributed(rank if _is_count(rank) else None, size if _is_count(size) and size else None, tuple(groups))


def rank_in_name(name: str) -> int | None:
    """The number after the first `worker` or `rank` in a file name, else after the last `r`.

    A model's name can look like a rank (resnet_r50): believe it only where several files differ in it.
    """
    found = _match(name)
    return int(found[3]) if found else None


def recording_name(name: str) -> str:
    """What the file names of all ranks of one recording have in common: rank and time stamps are left out."""
    stem = stem_of(name)
    found = _match(stem)
    if found:
        stem = f"{stem[: found.start()]}{found[1]}{found[2]}*{stem[found.end() :]}"
    return _STAMP.sub("*", stem)


def stem_of(name: str) -> str:
    """A file name without the endings that traces have."""
    while (ending := next((e for e in _ENDINGS if name.lower().endswith(e)), None)) and len(name) > len(ending):
        name = name[: -len(ending)]
    return name


def _match(name: str) -> re.Match[str] | None:
    all_found = list(_NAMED.finditer(name))
    spelled = [found for found in all_found if len(found[1]) > 1]
    return spelled[0] if spelled else all_found[-1] if all_found else None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_RANKS
