"""The only reader of run folders: tolerant of a last line cut short, strict about the schema version."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from slowprobe.errors import RunFolderError
from slowprobe.run.schema import SCHEMA, Exit, Manifest, Record
from slowprobe.run.writer import JOURNAL, MANIFEST, WORKERS

RecordType = TypeVar("RecordType")


@dataclass
class RunRecords:
    """All records of a run, in the order they were written; `workers` holds one list a worker process."""

    folder: Path
    manifest: Manifest
    records: list[Record]
    workers: list[list[Record]] = field(default_factory=list)
    lost_lines: int = 0

    def of(self, kind: type[RecordType]) -> list[RecordType]:
        """The records of one type."""
        return [record for record in self.records if isinstance(record, kind)]

    def last(self, kind: type[RecordType]) -> RecordType | None:
        """The last record of one type."""
        found = self.of(kind)
        return found[-1] if found else None


def load_run(folder: Path) -> RunRecords:
    """Read a run folder. Raises RunFolderError when it is not one, or one of another schema version."""
    manifest = _manifest(folder)
    collecting = gc.isenabled()
    gc.disable()  # only acyclic data is made here
    try:
        records, lost = _journal(folder / JOURNAL)
        workers = []
        for path in sorted((folder / WORKERS).glob("*.jsonl")):
            lines, missing = _journal(path)
            if lines:
                workers.append(lines)
            lost += missing
    finally:
        if collecting:
            gc.enable()
    return RunRecords(folder, manifest, records, workers, lost)


def append_exit(folder: Path, record: Exit) -> None:
    """Add how the process ended; called once, by the command that started it."""
    with (folder / JOURNAL).open("ab") as journal:
        journal.write(b"\n" + msgspec.json.encode(record) + b"\n")  # the last line may have been cut short


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not folder.exists():
        raise RunFolderError(f"{folder} does not exist. Give the folder that `slowprobe profile` wrote.")
    if not path.is_file():
        raise RunFolderError(f"{folder} is not a slowprobe run folder: it has no {MANIFEST}.")
    try:
        text = path.read_bytes()
        schema = msgspec.json.decode(text, type=_SchemaOnly).schema
        if schema != SCHEMA:
            raise RunFolderError(
                f"{folder} was written with schema {schema!r}, but this slowprobe reads {SCHEMA!r}. "
                "Report it with the slowprobe version that recorded it."
            )
        return msgspec.json.decode(text, type=Manifest)
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise RunFolderError(f"{path} is damaged: {error}") from None


class _SchemaOnly(msgspec.Struct):
    schema: str = "unknown"


def _journal(path: Path) -> tuple[list[Record], int]:
    decoder = msgspec.json.Decoder(Record)
    records: list[Record] = []
    lost = 0
    for line in _lines(path):
        try:
            records.append(decoder.decode(line))
        except msgspec.MsgspecError:
            lost += 1
    return records, lost


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as journal:
            yield from (line for line in journal if line.strip())
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror}") from None
