from __future__ import annotations

import math

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
def main():
    for step, batch in enumerate(loader):
        loss.backward()
        optimizer.step()
        for name, parameter in model.named_parameters():
            writer.add_histogram(name, parameter, step)
        writer.add_scalar("loss", loss.item(), step)
"""
WRAPPED = """\
def main():
    for step, batch in enumerate(loader):
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            wandb.log({"sample": wandb.Image(batch[0])})
        wandb.log({"loss": loss.item()})
"""
RULE, STEPS = "tracker-media", 200


def record(tmp_path, *, every=1, media_ms=3.0, calls=4, scalar_ms=0.1, source=SOURCE):
    run = SyntheticRun(tmp_path, source)
    loader = run.loader(None)
    tracker = "wandb.log" if source is WRAPPED else "SummaryWriter.add_"
    names = (tracker, tracker) if source is WRAPPED else (tracker + "histogram", tracker + "scalar")
    media, scalar = (6, 7)
    with run.epoch(loader):
        for step in range(STEPS):
            run.batch(loader, 1.0)
            run.train(4.0, 8.0, 1.0)
            for _ in range(calls if step % every == 0 else 0):
                run.log(media_ms, media, api=names[0])
            run.log(scalar_ms, scalar, api=names[1])
            run.python(0.5)
    return run.evidence()


def test_slow_counts_the_histograms_of_each_step(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    # 12 ms beside 14.6 ms: 82 times rarer for 1 %, rounded up to 100; 2 of 200 stay
    assert verdict.saved_s == pytest.approx(STEPS * 12e-3 * 0.99, rel=0.01)
    assert verdict.lines == [6]
    assert "+if step % 100 == 0:" in verdict.diagnosis.fix.diff
    assert "add_scalar" not in verdict.diagnosis.fix.diff
    assert verdict.diagnosis.summary.startswith("add_histogram: 4 calls in every step take 12 ms each time, 45%")


def test_an_interval_that_is_there_is_raised(tmp_path):
    verdict = ask(RULE, record(tmp_path, source=WRAPPED, every=10, media_ms=30.0, calls=1))
    times = 50  # 3 ms a step beside 14.6: 20.5 times
    assert verdict.saved_s == pytest.approx(20 * 30e-3 * (1 - math.ceil(20 / times) / 20), rel=0.01)
    assert "+if step % 500 == 0:" in verdict.diagnosis.fix.diff


def test_once_in_a_hundred_steps_passes(tmp_path):
    assert ask(RULE, record(tmp_path, every=100)).status == "passed"


@pytest.mark.parametrize("source", [SOURCE, WRAPPED])
def test_scalars_are_not_media(tmp_path, source):
    """Near miss: 2 ms of scalars in each step are logging-every-step's."""
    evidence = record(tmp_path, calls=0, scalar_ms=2.0, source=source)
    assert ask(RULE, evidence).status == "not-applicable"
    assert ask("logging-every-step", evidence).status == "found"


def test_histograms_are_not_reported_twice(tmp_path):
    assert ask("logging-every-step", record(tmp_path)).status == "passed"


def test_pictures_of_an_evaluation_are_its_own(tmp_path):
    """Near miss: a picture after each of two evaluations."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader, held_out = run.loader(None), run.loader(2)
    for _ in range(2):
        with run.epoch(loader):
            for _ in range(50):
                run.batch(loader, 1.0)
                run.train(4.0, 8.0, 1.0)
        with run.epoch(held_out):
            for _ in range(5):
                run.batch(held_out, 1.0)
                run.forward(5.0, 2, "evaluate", training=False, grad=False)
                run.log(20.0, 6, "evaluate", api="SummaryWriter.add_image")
    assert ask(RULE, run.evidence()).status == "not-applicable"


OWN = """\
class Writer:
    def add_histogram(self, name, values):
        counts, edges = np.histogram(values.detach().numpy(), bins=64)
        self.file.write(json.dumps({"name": name, "counts": counts.tolist()}))

def main():
    for step, batch in enumerate(loader):
        loss.backward()
        optimizer.step()
        for name, parameter in model.named_parameters():
            {call}
"""


@pytest.mark.parametrize("call", ["writer.add_histogram(name, parameter)", "writer.add_curve(name, parameter)"])
def test_a_writer_of_ones_own_is_known_by_the_name_of_its_method(tmp_path, call):
    """Near miss: the same code under another name writes in each step, and is logging-every-step's."""
    run = SyntheticRun(
        tmp_path, OWN.replace("{call}", call).replace("def add_histogram", f"def {call[7:].split('(')[0]}")
    )
    loader = run.loader(None)
    with run.epoch(loader):
        for _ in range(STEPS):
            run.batch(loader, 1.0)
            run.train(4.0, 8.0, 1.0)
            run.python(9.0, 3, call[7:].split("(")[0])
            run.python(3.0, 4, call[7:].split("(")[0])
    evidence = run.evidence()
    mine, others = ("logging-every-step", RULE) if "curve" in call else (RULE, "logging-every-step")
    verdict = ask(mine, evidence)
    assert verdict.lines[0] == 11
    assert ask(others, evidence).status != "found"
    if mine == RULE:
        assert verdict.lines == [11, 3, 4]
        assert verdict.saved_s == pytest.approx(STEPS * 12e-3 * 0.99, rel=0.02)
        assert ask("cpu-metrics-in-step", evidence).status != "found"
        assert ask("external-wait", evidence).status == "passed"
