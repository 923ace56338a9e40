"""Keeps the text of the user's source files as they were when they ran, so that a report can be made again."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from pathlib import Path

from slowprobe.capture.sites import Sites, absolute
from slowprobe.run.schema import Source

MAX_FILE_CHARS = 300_000
MAX_TOTAL_CHARS = 3_000_000


class Sources:
    """Writes a `Source` record for each user file once, within bounds."""

    def __init__(self, write: Callable[[Source], None], sites: Sites) -> None:
        self._write = write
        self._sites = sites
        self._done: set[str] = set()
        self._room = MAX_TOTAL_CHARS

    def add(self, new_files: list[str], named_files: set[str]) -> None:
        """Record the user's files among `new_files` (which is emptied) and `named_files`, each once."""
        pending = {*new_files, *named_files} - self._done
        new_files.clear()
        for file in sorted(pending):
            self._done.add(file)
            if self._room <= 0 or not self._sites.is_user_file(file):
                continue
            text = _text(file)
            if not text:
                continue
            kept = text[: min(MAX_FILE_CHARS, self._room)]
            self._room -= len(kept)
            self._write(Source(file=absolute(file), text=kept, truncated=len(kept) < len(text)))


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "".join(linecache.getlines(file))  # a notebook's cell: a name without a file
