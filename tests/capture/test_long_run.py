"""A run of a million steps leaves a bounded folder and takes bounded memory."""

from __future__ import annotations

import gc
from pathlib import Path

import psutil
import pytest
from run_folder import make

from slowprobe.capture.recorder import KIND, Recorder
from slowprobe.capture.span_key import span_key
from slowprobe.capture.totals import Totals
from slowprobe.run.reader import load_run
from slowprobe.run.schema import Chunk
from slowprobe.run.writer import JOURNAL, JournalWriter

STEP_NS = 10_000_000
STEPS_A_FLUSH = 100  # one flush a second
SPANS = ("data_wait", "zero_grad", "forward", "backward", "optimizer", "log")


def drive(folder: Path, steps: int) -> None:
    """A loop of `steps` steps through recorder, totals and journal, with a checkpoint now and then."""
    now = [0]
    recorder, totals = Recorder(lambda: now[0]), Totals(0)
    journal = JournalWriter(folder / JOURNAL)
    kinds = [KIND[name] for name in SPANS]
    next_chunk = 0.0
    for step in range(1, steps + 1):
        for kind in kinds:
            recorder.open(span_key(kind, kind + 1))
            now[0] += STEP_NS // 10 + step % 1000
            recorder.close(span_key(kind, kind + 1))
        if step % 1000 == 0:
            recorder.open(span_key(KIND["save"], 40))
            now[0] += STEP_NS
            recorder.close(span_key(KIND["save"], 40))
        now[0] += STEP_NS // 4
        if step % STEPS_A_FLUSH == 0:
            journal.write(*totals.add(recorder.take()))
            if now[0] / 1e9 >= next_chunk:
                next_chunk = now[0] / 1e9 + Totals.chunk_seconds(now[0] / 1e9)
                journal.write(*totals.chunk(now[0], recorder.open_rows()))
    journal.write(*totals.add(recorder.take()), *totals.chunk(now[0], [], final=True), vital=True)
    assert journal.fault is None
    journal.close()


@pytest.mark.parametrize("steps", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_long_run_is_bounded_and_exact(steps: int, tmp_path: Path) -> None:
    folder = make(tmp_path)
    gc.collect()
    before = psutil.Process().memory_info().rss
    drive(folder, steps)
    grown = psutil.Process().memory_info().rss - before
    assert grown <= 100e6
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= 50e6
    run = load_run(folder)
    assert run.lost_lines == 0
    counts: dict[int, int] = {}
    covered = 0
    for chunk in run.of(Chunk):
        for kind, _, count, own, _, _ in chunk.spans:
            counts[kind] = counts.get(kind, 0) + count
            covered += own
        covered += sum(row[5] for row in chunk.gaps)
    assert [counts[KIND[name]] for name in SPANS] == [steps] * len(SPANS)
    assert counts[KIND["save"]] == steps // 1000
    assert covered == run.of(Chunk)[-1].end_ns
