"""The traces in a folder, grouped into recordings: one file a rank."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slowprobe.timeline.ranks.identity import rank_in_name, recording_name

ENDINGS = (".json", ".json.gz")
_ANNOTATED = ".annotated."  # slowprobe's own window with shapes and stacks, whose times carry their cost
_GZIP_MAGIC = b"\x1f\x8b"
_HEAD_BYTES = 1 << 18  # the header of a job with hundreds of ranks and many groups fits
_SIGN_BYTES = 4096
_LIST = re.compile(rb'^\s*\[\s*\{\s*"(?:ph|name|cat|pid|tid|ts|args|dur)"\s*:')
_KEYS = re.compile(
    rb'"(?:traceEvents|schemaVersion|deviceProperties|distributedInfo|baseTimeNanoseconds|displayTimeUnit|trace_id)"\s*:'
)
_INFO = re.compile(
    rb'"distributedInfo"\s*:\s*\{[^{}\[\]]*?"rank"\s*:\s*(\d{1,7})[^{}\[\]]*?"world_size"\s*:\s*(\d{1,7})'
)


@dataclass(frozen=True, slots=True)
class Recording:
    """The traces of one stretch of a job, in order of rank; `name` is what their file names have in common."""

    folder: Path
    name: str
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    rank: int | None
    world_size: int | None


def find_recordings(folder: Path) -> list[Recording]:
    """All recordings below `folder`, the one to analyse first: that of most ranks, and of several the last.

    Files that are no traces by their first bytes are passed over.
    """
    found = [entry for path in _candidates(folder) if (entry := _sniff(path)) is not None]
    recordings = [recording for mine in _by_job(found).values() for recording in _split(mine)]
    # Latest first among equals: Python's sort is stable, so sort by name, then by size.
    recordings.sort(key=lambda r: natural(f"{r.folder}/{r.name}/{r.paths[0].name}"), reverse=True)
    return sorted(recordings, key=lambda r: (-len(r.paths), _ANNOTATED in r.name))


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key under which step_9 comes before step_12."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def _candidates(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):  # follows no links, so it ends
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if name.lower().endswith(ENDINGS))


def _sniff(path: Path) -> _Found | None:
    head = _head(path)
    if not (_LIST.match(head[:_SIGN_BYTES]) or (head.lstrip()[:1] == b"{" and _KEYS.search(head[:_SIGN_BYTES]))):
        return None
    told = _INFO.search(head)
    if told:
        return _Found(path, int(told[1]), int(told[2]))
    return _Found(path, None, None)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_HEAD_BYTES)
        if not data.startswith(_GZIP_MAGIC):
            return data
        return zlib.decompressobj(wbits=31).decompress(data, _HEAD_BYTES)
    except (OSError, zlib.error):
        return b""


def _by_job(found: list[_Found]) -> dict[tuple[Path, str, int], list[_Found]]:
    """Traces that tell their rank belong together by folder and world size; the others by folder and name."""
    jobs: dict[tuple[Path, str, int], list[_Found]] = {}
    for each in found:
        folder = each.path.parent
        told = each.rank is not None and (each.world_size or 0) > 1
        key = (folder, "", each.world_size or 0) if told else (folder, recording_name(each.path.name), 0)
        jobs.setdefault(key, []).append(each)
    return jobs


def _split(job: list[_Found]) -> list[Recording]:
    """A job's traces as recordings that hold each rank once: by name where names tell, else one after the other."""
    if _ranks_differ(job):
        return [_recording(job)]
    named: dict[str, list[_Found]] = {}
    for each in job:
        named.setdefault(recording_name(each.path.name), []).append(each)
    # Names that tell hosts apart, not recordings, leave one rank in each.
    tells = all(_ranks_differ(mine) and len(mine) > 1 for mine in named.values())
    return [_recording(mine) for mine in named.values()] if tells else _in_turn(job)


def _in_turn(found: list[_Found]) -> list[Recording]:
    by_rank: dict[int, list[_Found]] = {}
    alone = []
    for each in sorted(found, key=lambda e: natural(e.path.name)):
        rank = _rank(each, found)
        if rank is None:
            alone.append(_recording([each]))
        else:
            by_rank.setdefault(rank, []).append(each)
    turns = max(map(len, by_rank.values()), default=0)
    return alone + [_recording([mine[turn] for mine in by_rank.values() if turn < len(mine)]) for turn in range(turns)]


def _ranks_differ(found: list[_Found]) -> bool:
    ranks = [_rank(each, found) for each in found]
    return None not in ranks and len(set(ranks)) == len(ranks)


def _rank(each: _Found, among: list[_Found]) -> int | None:
    if each.rank is not None:
        return each.rank
    named = {rank_in_name(other.path.name) for other in among}
    return rank_in_name(each.path.name) if len(named) > 1 else None


def _recording(found: list[_Found]) -> Recording:
    ordered = sorted(found, key=lambda each: (_rank(each, found) or 0, natural(each.path.name)))
    first = ordered[0].path
    name = recording_name(first.name) if len(ordered) > 1 else first.name
    return Recording(first.parent, name, tuple(each.path for each in ordered))
