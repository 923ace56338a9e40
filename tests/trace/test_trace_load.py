"""Blocks of text from plain and gzip files, whole and damaged, with either library that inflates."""

from __future__ import annotations

import gzip
import random
import zlib
from pathlib import Path

import pytest

from slowprobe.errors import TraceError
from slowprobe.trace import load
from slowprobe.trace.load import TraceFile


@pytest.fixture(params=["isal", "zlib"])
def inflate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "isal":
        pytest.importorskip("isal", reason="no isal: zlib does it all")
    else:
        monkeypatch.setattr(load, "_inflate", zlib)


def text(size: int) -> bytes:
    random.seed(5)
    return bytes(random.choices(range(256), k=1000)) * (size // 1000)


def read(path: Path) -> tuple[bytes, TraceFile]:
    file = TraceFile(path)
    blocks = list(file.blocks())
    assert all(0 < len(block) <= load._BLOCK_BYTES for block in blocks)
    return b"".join(blocks), file


@pytest.mark.parametrize("size", [1000, 70_000, 3_000_000])
def test_plain_and_packed_files_give_the_same_text(tmp_path, inflate, size):
    (tmp_path / "plain").write_bytes(text(size))
    (tmp_path / "packed").write_bytes(gzip.compress(text(size)))
    for name in ("plain", "packed"):
        found, file = read(tmp_path / name)
        assert found == text(size) and file.fault is None
        assert file.done_bytes == file.total_bytes and file.text_bytes == len(found)


@pytest.mark.parametrize("padding", [b"", b"\0", b"\0" * 100_000, b"\x1f"])
def test_members_are_joined_and_padding_is_left_out(tmp_path, inflate, padding):
    path = tmp_path / "t.gz"
    path.write_bytes(
        gzip.compress(b"a" * 10) + gzip.compress(text(2_000_000)) + gzip.compress(b"") + gzip.compress(b"z") + padding
    )
    found, file = read(path)
    assert found == b"a" * 10 + text(2_000_000) + b"z" and file.fault is None


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_cut_off_file_gives_the_text_before_the_cut(tmp_path, inflate, share):
    random.seed(1)
    whole = bytes(random.choices(b"abcdefgh", k=2_000_000))
    packed = gzip.compress(whole)
    path = tmp_path / "t.gz"
    path.write_bytes(packed[: int(len(packed) * share)])
    found, file = read(path)
    assert whole.startswith(found) and len(found) > (share - 0.02) * len(whole)
    assert file.fault == "the gzip data ends early: the file was cut off"


def test_a_damaged_file_gives_the_text_before_the_damage(tmp_path, inflate):
    random.seed(2)
    whole = bytes(random.choices(b"abcdefgh", k=4_000_000))
    packed = bytearray(gzip.compress(whole))
    packed[len(packed) // 2 :] = b"\xff" * (len(packed) - len(packed) // 2)
    path = tmp_path / "t.gz"
    path.write_bytes(packed)
    found, file = read(path)
    assert len(found) > 1_900_000 and found[:1_900_000] == whole[:1_900_000]
    assert file.fault is not None and file.fault.startswith("the gzip data")
    path.write_bytes(gzip.compress(b"[]")[:10] + b"\xff" * 100)  # no such block type
    with pytest.raises(TraceError, match="damaged; read up to about 0%"):
        read(path)


def test_a_bomb_is_refused_by_its_ratio(tmp_path, inflate, monkeypatch):
    monkeypatch.setattr(load, "_HARMLESS_BYTES", 4 << 20)
    path = tmp_path / "t.gz"
    path.write_bytes(gzip.compress(b"0" * (16 << 20)))
    with pytest.raises(TraceError, match="unpacks to more than 250 times its size"):
        read(path)


def test_an_endless_text_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "_LIMIT_BYTES", 1 << 20)
    path = tmp_path / "t"
    path.write_bytes(b"0" * (2 << 20))
    with pytest.raises(TraceError, match="GiB of text"):
        read(path)


def test_a_reader_that_stops_early_leaves_no_thread(tmp_path):
    import threading

    path = tmp_path / "t.gz"
    path.write_bytes(gzip.compress(text(20_000_000)))
    before = threading.active_count()
    blocks = TraceFile(path).blocks()
    next(blocks)
    blocks.close()
    assert threading.active_count() == before
