"""What is kept between commands is used when it is whole, and never needed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from slowprobe.report import kept


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "slowprobe"


def test_what_was_written_is_read(folder):
    name = kept.key("plotly", 6)
    assert kept.read(name) is None
    kept.write(name, b"packed")
    assert kept.read(name) == b"packed"
    assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize("damage", [b"", b"short", bytes(40)])
def test_a_damaged_file_counts_as_none(folder, damage):
    kept.write("name", b"packed")
    (folder / "name").write_bytes(damage)
    assert kept.read("name") is None


def test_a_folder_that_cannot_be_made_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    kept.write("name", b"packed")
    assert kept.read("name") is None


def test_names_differ_with_what_they_are_made_from():
    assert kept.key("template", "a", "b") != kept.key("template", "ab")


def test_what_was_kept_long_ago_is_forgotten(folder):
    kept.write("old", b"packed")
    hundred_days_ago = time.time() - 100 * 86_400
    os.utime(folder / "old", (hundred_days_ago, hundred_days_ago))
    kept.write("new", b"packed")
    assert kept.read("old") is None
    assert kept.read("new") == b"packed"
