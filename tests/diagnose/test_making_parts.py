"""What a kind of call takes of making batches."""

from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from slowprobe.diagnose.making_parts import of_batch, part_of


@pytest.mark.parametrize("sampled", [1.0, 0.25])
def test_a_part_is_of_what_was_sampled(tmp_path, sampled):
    """Workers are sampled in bursts, a quarter of the time: shares stay what they are."""
    run = SyntheticRun(tmp_path, "a\nb\nc\n")
    loader = run.loader(1, num_workers=2)
    with run.epoch(loader):
        for _ in range(100):
            run.batch(loader, 20.0, 4.0, fetch_lines={2: 15.0}, collate_lines={3: 1.0})
            run.train()
    for row in loader.sampled.values():
        row[:] = [max(1, round(value * sampled)) for value in row]
    evidence = run.evidence()
    facts = evidence.loaders[0]
    fetch = part_of(evidence, facts, "fetch", lambda stack: stack.site is not None and stack.site.line == 2)
    collate = part_of(evidence, facts, "collate", lambda stack: stack.site is not None and stack.site.line == 3)
    assert fetch.share == pytest.approx(0.75, abs=0.01)
    assert collate.share == pytest.approx(0.25, abs=0.01)
    assert of_batch(facts, fetch) == pytest.approx(15 / 24, abs=0.01)
