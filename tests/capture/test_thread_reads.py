"""What the training thread reads while it makes batches, as the kernel counts it."""

from __future__ import annotations

import sys

import pytest

from slowprobe.capture import thread_reads
from slowprobe.capture.thread_reads import EVERY, ThreadReads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's counters are Linux's")


def make(reads, file, batches, index=(1, 2, 3, 4)):
    for _ in range(batches):
        counts = reads.begin(7)
        for _ in index:
            with open(file, "rb", buffering=0) as opened:
                opened.read(1000)
        if counts:
            reads.end(7, index)


def test_bytes_and_calls_of_some_batches(tmp_path):
    file = tmp_path / "item"
    file.write_bytes(bytes(1000))
    reads = ThreadReads()
    make(reads, file, 2 * EVERY)
    (record,) = reads.take()
    assert (record.loader, record.batches, record.items) == (7, 2, 8)
    assert (record.rchar, record.read_calls) == (8000, 8)
    assert reads.take() == []


def test_a_system_that_does_not_count_is_asked_once(tmp_path, monkeypatch):
    monkeypatch.setattr(thread_reads, "_FILE", str(tmp_path / "none"))
    reads = ThreadReads()
    assert [reads.begin(7) for _ in range(3 * EVERY)] == [False] * 3 * EVERY
    assert reads._fails
    assert reads.take() == []
