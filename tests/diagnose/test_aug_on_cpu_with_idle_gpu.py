from __future__ import annotations

import pytest
from synthetic import LIBRARY, SyntheticRun
from synthetic_trace import SyntheticTrace

from diagnose.asking import ask
from diagnose.device import ahead
from slowprobe.timeline.device_window import read_device_window

SOURCE = """\
class Images(Dataset):
    def __getitem__(self, index):
        return self.transform(self.images[index])


loader = DataLoader(Images(), batch_size=32, num_workers=2)
"""
RULE = "aug-on-cpu-with-idle-gpu"
BATCHES = 150
JITTER = [(f"{LIBRARY}/site-packages/torchvision/transforms/transforms.py", 1200, "ColorJitter.forward")]
FETCH_MS, JITTER_MS = 40.0, 30.0


def record(tmp_path, *, cores=2, idle_us=8_000.0, name="ColorJitter", jitter_ms=JITTER_MS, step_ms=5.0, device=True):
    run = SyntheticRun(tmp_path, SOURCE, cores=cores)
    run.settings(devices=["NVIDIA A100-SXM4-80GB"] if device else [])
    loader = run.loader(run.line("DataLoader("), num_workers=2)
    line = run.line("self.transform(")
    fetch_ms = FETCH_MS - JITTER_MS + jitter_ms
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, fetch_ms, 0.5, fetch_lines={line: jitter_ms}, below={line: JITTER})
            run.train(0.4 * step_ms, 0.5 * step_ms, 0.1 * step_ms)
    run.items(loader, 1, same=False, transforms={name: (False, jitter_ms * BATCHES)})
    evidence = run.evidence()
    if device:
        trace = SyntheticTrace(tmp_path)
        for _ in range(5):
            with trace.step():
                trace.data(idle_us)
                ahead(trace, kernels=10)
                trace.sync()
        evidence.__dict__["device_window"] = read_device_window(trace.write())
    return evidence


def test_slow_saves_what_making_batches_without_it_does(tmp_path):
    evidence = record(tmp_path)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [3] and "ColorJitter" in verdict.diagnosis.fix.text
    without = record(tmp_path / "without", jitter_ms=0.05 * JITTER_MS)
    truth = evidence.partition.loop_s - without.partition.loop_s
    # The replay lets the two workers and the step share two cores; in a synthetic run they do not.
    assert 0.6 * truth < verdict.saved_s <= 1.05 * truth


def test_fixed_passes(tmp_path):
    assert ask(RULE, record(tmp_path, jitter_ms=0.0, step_ms=12.0)).status == "passed"


def test_idle_cores_want_workers_first(tmp_path):
    """Near miss: as slow, with six cores to spare."""
    verdict = ask(RULE, record(tmp_path, cores=8))
    assert verdict.status == "passed" and "workers-too-few" in verdict.outcome.reason


def test_a_busy_device_has_no_time_for_it(tmp_path):
    verdict = ask(RULE, record(tmp_path, idle_us=200.0))
    assert verdict.status == "passed" and "at work" in verdict.outcome.reason


@pytest.mark.parametrize("name", ["RandomResizedCrop", "Own"])
def test_what_has_to_stay_or_is_unknown_passes(tmp_path, name):
    verdict = ask(RULE, record(tmp_path, name=name))
    assert verdict.status == "passed" and "0.0%" in verdict.outcome.reason


def test_without_a_device_it_is_not_applicable(tmp_path):
    assert ask(RULE, record(tmp_path, device=False)).status == "not-applicable"
