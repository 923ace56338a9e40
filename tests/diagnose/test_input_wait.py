from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.device import about, ahead

RULE = "input-wait"


def step(trace, us=10_000.0, workers=False):
    trace.data(us, workers)
    ahead(trace, kernels=10)


def test_slow_without_workers_names_their_number(tmp_path):
    """A batch takes 10 ms to make, the rest of the step some 4."""
    verdict = about(RULE, tmp_path, step)
    assert "num_workers=3" in verdict.diagnosis.fix.diff or "num_workers=2" in verdict.diagnosis.fix.diff
    assert verdict.saved_s > 0.03


def test_slow_with_workers_says_so(tmp_path):
    verdict = about(RULE, tmp_path, lambda trace: step(trace, workers=True))
    assert verdict.diagnosis.evidence["batches made by"] == "workers" and verdict.saved_s > 0


def test_fixed_passes(tmp_path):
    assert about(RULE, tmp_path, lambda trace: step(trace, us=50.0)).status == "passed"


def test_a_wait_behind_the_device_passes(tmp_path):
    """Near miss: the host waits as long, while the device still works on what is queued."""

    def hidden(trace):
        ahead(trace, kernels=60)
        trace.data(10_000.0)

    assert about(RULE, tmp_path, hidden).status == "passed"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_recorded_run_knows_more(tmp_path, workers):
    run = SyntheticRun(tmp_path)
    loader = run.loader(1, num_workers=workers)
    with run.epoch(loader):
        run.batch(loader, 50)
        run.train()
    assert ask(RULE, run.evidence()).status == "not-applicable"
