"""Real NumPy and torch; skipped where NumPy has another BLAS."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from slowprobe.capture import blas_trials
from slowprobe.capture.blas_trials import BlasWatch, pools

threaded = pytest.mark.skipif(
    not any(pool.get() > 1 for pool in pools()) or torch.get_num_threads() < 2, reason="no OpenBLAS with threads"
)


def watched(seconds: float, work) -> dict[str, float]:
    watch = BlasWatch()
    assert not watch.began
    watch.begin()
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        work()
    watch.end()
    return watch.values(torch)


@threaded
def test_busy_threads_are_tried_and_keep_their_number() -> None:
    matrix = np.ones((256, 256))
    counts = [pool.get() for pool in pools()]
    before = threading.active_count()
    numbers = torch.ones(300_000)
    values = watched(0.5, lambda: (matrix @ matrix, numbers * 2.0))
    assert values["blas.busy"] > 0.1 and values["blas.threads"] >= 2
    assert min(values[f"blas.{name}_ms"] for name in ("call", "after", "call_alone", "after_alone")) > 0
    assert [pool.get() for pool in pools()] == counts and threading.active_count() == before


@threaded
def test_idle_threads_are_not_tried() -> None:
    time.sleep(0.1)  # those of the test before may spin
    values = watched(0.5, lambda: time.sleep(0.01))
    assert set(values) == {"blas.threads", "blas.busy"} and values["blas.busy"] < 0.1


def test_without_openblas_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas_trials, "pools", list)
    assert watched(0.01, lambda: None) == {}
