"""The only writer of run folders: appends records to a journal, and never raises into the training."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec

from slowprobe.run.schema import Manifest, Record

MANIFEST = "run.json"
JOURNAL = "journal.jsonl"
WORKERS = "workers"
TRACES = "traces"
REPORTS = ("report.html", "report.json", "report.md")

MAX_JOURNAL_BYTES = 30_000_000  # with traces and worker files a folder stays below 50 MB


class JournalWriter:
    """Appends one JSON line a record with a single ``write``, so that a killed run loses no more than its last line.

    A disk fault (full, gone, read-only) is remembered in `fault` and silences the writer; it never reaches the caller.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_JOURNAL_BYTES) -> None:
        self._encoder = msgspec.json.Encoder()
        self._lock = threading.Lock()
        self._room = max_bytes
        self.fault: str | None = None
        self._file = path.open("ab", buffering=0)

    def write(self, *records: Record, vital: bool = False) -> None:
        """Append `records`; `vital` ones are written even when the journal has reached its bound."""
        if self.fault is not None:
            return
        try:
            lines = b"".join(self._encoder.encode(record) + b"\n" for record in records)
            with self._lock:
                if len(lines) > self._room and not vital:
                    return
                self._room -= len(lines)
                self._file.write(lines)
        except (OSError, ValueError, TypeError, msgspec.MsgspecError) as error:
            self.fault = f"{type(error).__name__}: {error}"

    def close(self) -> None:
        """Close the file; later writes are dropped."""
        self.fault = self.fault or "closed"
        try:
            self._file.close()
        except OSError as error:
            self.fault = str(error)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``run.json`` so that it is there whole or not at all."""
    partial = folder / (MANIFEST + ".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    os.replace(partial, folder / MANIFEST)


def prepare_folder(folder: Path) -> None:
    """Make `folder` ready for a run: created, and free of an earlier run's files. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (MANIFEST, JOURNAL, *REPORTS):
        (folder / name).unlink(missing_ok=True)
    for sub in (WORKERS, TRACES):
        (folder / sub).mkdir(exist_ok=True)
        for old in (folder / sub).iterdir():
            old.unlink()
