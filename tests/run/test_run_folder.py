"""The run folder: what is written is what is read, whatever the state of the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowprobe.errors import BadInputError, RunFolderError
from slowprobe.run.folder import create_run, default_folder
from slowprobe.run.reader import append_exit, load_run
from slowprobe.run.record import Site
from slowprobe.run.sample_records import Frames, Samples
from slowprobe.run.schema import KINDS, Chunk, End, Exit, Note, Record, Source, SpanKind, Spans, Subject
from slowprobe.run.worker_records import WorkerHello
from slowprobe.run.writer import JOURNAL, JournalWriter

NUMBERS = st.integers(min_value=-(2**62), max_value=2**62)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ROWS = st.lists(st.lists(NUMBERS, max_size=6), max_size=4)
RECORDS: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        Subject,
        id=NUMBERS,
        kind=st.sampled_from(KINDS),
        name=TEXT,
        site=st.none() | st.builds(Site, file=TEXT, line=NUMBERS, function=TEXT),
        attrs=st.dictionaries(
            TEXT,
            st.none() | st.booleans() | NUMBERS | TEXT | st.floats(allow_nan=False, allow_infinity=False, width=32),
        ),
    ),
    st.builds(Chunk, start_ns=NUMBERS, end_ns=NUMBERS, spans=ROWS, gaps=ROWS, raw=NUMBERS, open=ROWS),
    st.builds(Samples, start_ns=NUMBERS, end_ns=NUMBERS, rows=ROWS),
    st.builds(Frames, frames=st.lists(st.tuples(NUMBERS, TEXT, NUMBERS, TEXT)), stacks=st.just([])),
    st.builds(Note, at_ns=NUMBERS, level=st.sampled_from(["info", "warning", "error"]), topic=TEXT, text=TEXT),
    st.builds(Source, file=TEXT, text=TEXT, truncated=st.booleans()),
    st.builds(End, at_ns=NUMBERS, detached_ns=NUMBERS, exception=st.none() | TEXT),
)


def make(folder: Path) -> Path:
    return create_run(
        folder,
        command=["python", "x.py"],
        script="x.py",
        mode="profile",
        origin_ns=5,
        pid=1,
        host={},
        prefixes=["/lib"],
        user_folders=[],
    )


@given(records=st.lists(RECORDS, max_size=6))
def test_records_survive_the_disk(records: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = make(tmp_path_factory.mktemp("run"))
    journal = JournalWriter(folder / JOURNAL)
    journal.write(*records)
    journal.close()
    assert journal.fault == "closed"
    run = load_run(folder)
    assert run.records == records and run.lost_lines == 0


@given(records=st.lists(RECORDS, min_size=1, max_size=4), cut=st.floats(0, 1))
def test_a_cut_costs_one_record_at_most(
    records: list[Any], cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = make(tmp_path_factory.mktemp("run"))
    journal = JournalWriter(folder / JOURNAL)
    journal.write(*records)
    whole = (folder / JOURNAL).read_bytes()
    kept = whole[: int(cut * len(whole))]
    (folder / JOURNAL).write_bytes(kept)
    ended = Exit(at_ns=9, exit_code=None, signal=9)
    append_exit(folder, ended)
    run = load_run(folder)
    assert run.records[-1] == ended and run.lost_lines <= 1
    assert run.records[:-1] == records[: len(run.records) - 1]
    assert len(run.records) - 1 + run.lost_lines >= kept.count(b"\n")


def test_every_record_type_has_a_tag_of_its_own() -> None:
    tags = [kind.__struct_config__.tag for kind in get_args(Record)]
    assert len(tags) == len(set(tags)) == 28
    assert get_args(SpanKind) == KINDS and KINDS.index("data_wait") == 1  # numbers on disk: append, never reorder


def test_workers_have_their_own_files(tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    hello = WorkerHello(pid=3, worker=0, num_workers=1, loader=2, at_ns=4, spawned_ns=3)
    (folder / "workers" / "2-0-3.jsonl").write_bytes(msgspec.json.encode(hello) + b"\n{")
    (folder / "workers" / "2-1-4.jsonl").write_bytes(b"")
    run = load_run(folder)
    assert run.workers == [[hello]] and run.lost_lines == 1


def test_making_a_run_clears_an_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    for name in ("journal.jsonl", "report.html", "traces/old.pt.trace.json.gz", "workers/1-0-9.jsonl", "mine.txt"):
        (folder / name).write_text("old")
    make(folder)
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert left == ["mine.txt", "run.json"]


def test_a_folder_in_the_way_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="--out"):
        make(tmp_path / "file" / "run")
    (tmp_path / "run" / "traces" / "sub").mkdir(parents=True)
    with pytest.raises(BadInputError, match="--out"):
        make(tmp_path / "run")


def test_default_folders_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen = set()
    for _ in range(3):
        folder = default_folder("some/train.py")
        folder.mkdir(parents=True)
        seen.add(folder)
    assert len(seen) == 3 and all(folder.name.startswith("train-") for folder in seen)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path)
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace("slowprobe.run/1", "slowprobe.run/2"))
    with pytest.raises(RunFolderError, match=r"slowprobe\.run/2"):
        load_run(folder)


class Full:
    """A file on a full disk."""

    def write(self, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    def close(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_silences_the_writer(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "j")
    journal._file = Full()  # type: ignore[assignment]
    journal.write(End(at_ns=1, detached_ns=1))
    assert journal.fault is not None and "No space" in journal.fault
    journal.write(End(at_ns=1, detached_ns=1))
    journal.close()


def test_the_journal_is_bounded_but_takes_vital_records(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "j", max_bytes=1000)
    for number in range(100):
        journal.write(Note(at_ns=number, level="info", topic="t", text="x" * 50))
    assert os.path.getsize(tmp_path / "j") <= 1000
    journal.write(End(at_ns=1, detached_ns=1), vital=True)
    assert b'"end"' in (tmp_path / "j").read_bytes()


def test_what_cannot_be_encoded_is_a_fault_not_an_error(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "j")
    journal.write(Source(file="x", text="\ud800"))
    assert journal.fault is not None


def test_spans_keep_their_columns(tmp_path: Path) -> None:
    spans = Spans(stretch=0, base_ns=9, kind=[1], subject=[2], start=[3], duration=[4], self_ns=[4], depth=[0])
    assert msgspec.json.decode(msgspec.json.encode(spans), type=Record) == spans
