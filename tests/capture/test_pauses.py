"""The stand-in for a step that is timed after pauses."""

from __future__ import annotations

import time

import torch

from slowprobe.capture.pauses import PAUSES_MS, try_pauses


def test_every_pause_is_timed_and_nothing_is_left_changed() -> None:
    state, grad = torch.get_rng_state(), torch.is_grad_enabled()
    tried = try_pauses(torch, time.perf_counter())
    assert set(tried) == {f"pause.{pause:g}_ms" for pause in PAUSES_MS}
    assert all(ms > 0 for ms in tried.values())
    assert torch.equal(torch.get_rng_state(), state) and torch.is_grad_enabled() == grad
    with torch.no_grad():
        try_pauses(torch, time.perf_counter())
