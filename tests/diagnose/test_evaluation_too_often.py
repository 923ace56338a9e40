from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
def evaluate(model, loader):
    for points, labels in loader:
        logits = model(points)


def main():
    for epoch in range(12):
        for batch in loader:
            loss.backward()
            optimizer.step()
        evaluate(model, test_loader)
"""
IN_STEPS = SOURCE.replace(
    "            optimizer.step()\n", "            optimizer.step()\n            step += 1\n"
).replace(
    "        evaluate(model, test_loader)\n",
    "            if step % 20 == 0:\n                evaluate(model, test_loader)\n",
)
RULE = "evaluation-too-often"


def record(tmp_path, *, every=1, batches=20, fetch_ms=1.0, epochs=12, source=SOURCE):
    run = SyntheticRun(tmp_path, source)
    loader, test_loader = run.loader(None), run.loader(None)
    for epoch in range(epochs):
        with run.epoch(loader):
            for _ in range(20):
                run.batch(loader, 1.0)
                run.train(4.0, 8.0, 1.0)
        if epoch % every == 0:
            run.evaluate(test_loader, batches, fetch_ms=fetch_ms, forward_ms=9.0, line=run.line("model(points)"))
    return run.evidence()


def test_slow_names_the_call_and_the_interval(tmp_path):
    slow = record(tmp_path / "slow")
    verdict = ask(RULE, slow)
    assert verdict.lines == [11, 3]
    # 200 ms of evaluation after 280 ms of training: 200/280 * 9 = 6.4, so one in seven
    assert verdict.diagnosis.fix.diff == (
        "-evaluate(model, test_loader)\n+if epoch % 7 == 0:\n+    evaluate(model, test_loader)"
    )
    fixed = record(tmp_path / "fixed", every=7)
    assert verdict.saved_s == pytest.approx(slow.partition.loop_s - fixed.partition.loop_s, rel=0.02)
    assert "no workers" not in verdict.diagnosis.fix.text


SHARED = """\
def loss_of(model, points):
    return model(points).mean()


def validate(model, held_out):
    model.eval()
    total = sum(loss_of(model, part).item() for part in held_out.split(512))


if __name__ == "__main__":
    for rows in order:
        loss = loss_of(model, points[rows])
        loss.backward()
        optimizer.step()
        step += 1
        if step % 20 == 0:
            best = min(best, validate(model, held_out))
"""


def test_a_loss_that_both_call_is_told_apart_by_the_stack(tmp_path):
    """Without a loader, and with a generator expression on the way."""
    run = SyntheticRun(tmp_path, SHARED)
    file = "/home/someone/train.py"
    path = [(file, 16, "<module>"), (file, 7, "validate"), (file, 7, "validate.<locals>.<genexpr>")]
    test_loader = run.loader(None)
    for _ in range(12):
        for _ in range(20):
            run.train(4.0, 8.0, 1.0)
        run.evaluate(test_loader, 20, forward_ms=9.0, line=2, function="loss_of", above=path)
    verdict = ask(RULE, run.evidence())
    assert verdict.lines[0] == 16
    assert verdict.diagnosis.fix.diff.startswith("-if step % 20 == 0:\n+if step % ")


def test_an_interval_in_steps_is_raised(tmp_path):
    verdict = ask(RULE, record(tmp_path, source=IN_STEPS))
    assert verdict.diagnosis.fix.diff == "-if step % 20 == 0:\n+if step % 140 == 0:"


def test_a_slow_evaluation_loader_is_named(tmp_path):
    verdict = ask(RULE, record(tmp_path, fetch_ms=12.0))
    assert "Its loader has no workers and takes 57%" in verdict.diagnosis.fix.text


def test_an_evaluation_every_seventh_epoch_passes(tmp_path):
    assert ask(RULE, record(tmp_path, every=7)).status == "passed"


def test_a_fifteenth_of_the_time_passes(tmp_path):
    """Near miss: an evaluation after each short epoch, but a quick one."""
    assert ask(RULE, record(tmp_path, batches=2)).status == "passed"


def test_a_single_evaluation_passes(tmp_path):
    """Near miss: half of a short run is its only evaluation; there is nothing to do less often."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader, test_loader = run.loader(None), run.loader(None)
    for epoch in range(2):
        with run.epoch(loader):
            for _ in range(20):
                run.batch(loader, 1.0)
                run.train(4.0, 8.0, 1.0)
        if epoch == 0:
            run.evaluate(test_loader, 40, line=3)
    assert ask(RULE, run.evidence()).status == "passed"


def test_evaluation_with_gradients_is_not_judged(tmp_path):
    """What evaluating costs when done right is not known yet, and evaluation-with-grad says how to know."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader, test_loader = run.loader(None), run.loader(None)
    for _ in range(6):
        with run.epoch(loader):
            for _ in range(20):
                run.batch(loader, 1.0)
                run.train(4.0, 8.0, 1.0)
        run.evaluate(test_loader, 20, forward_ms=9.0, grad=True, line=3)
    assert ask(RULE, run.evidence()).status == "not-checked"


def test_without_evaluation_it_does_not_apply(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(None)
    with run.epoch(loader):
        for _ in range(20):
            run.batch(loader, 1.0)
            run.train()
    assert ask(RULE, run.evidence()).status == "not-applicable"


GENERATES = """\
def generate(x):
    for _ in range(3):
        x, _ = self(x)


def batch_end(trainer):
    if trainer.iter_num % 20 == 0:
        loader = DataLoader(data)
"""


def test_a_model_that_calls_itself_is_not_taken_for_the_loop(tmp_path):
    """The training loop is in another file; of the places seen, the one under a condition on a counter counts."""
    run = SyntheticRun(tmp_path, GENERATES)
    loader, test_loader = run.loader(None), run.loader(8, function="batch_end")
    for _ in range(12):
        with run.epoch(loader):
            for _ in range(20):
                run.batch(loader, 1.0)
                run.train(4.0, 8.0, 1.0)
        run.evaluate(test_loader, 20, forward_ms=9.0, line=3, function="generate")
    verdict = ask(RULE, run.evidence())
    assert verdict.lines == [7, 8]
    assert verdict.diagnosis.fix.diff == "-if trainer.iter_num % 20 == 0:\n+if trainer.iter_num % 140 == 0:"


def test_without_a_place_there_is_no_diff(tmp_path):
    verdict = ask(RULE, record(tmp_path, source="x = 1\ny = 2\nlogits = model(points)\nevaluate(model, test_loader)\n"))
    assert verdict.diagnosis.fix.diff == ""


def test_an_evaluation_before_the_first_steps_does_not_shorten_the_interval(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    loader, test_loader = run.loader(None), run.loader(None)
    with run.epoch(loader):
        for step in range(120):
            run.batch(loader, 1.0)
            run.train(4.0, 8.0, 1.0)
            if step % 100 == 0:
                run.evaluate(test_loader, 60, forward_ms=9.0, line=3)
    diagnosis = ask(RULE, run.evidence()).diagnosis
    assert diagnosis.evidence["training steps between two"] == 100
    assert diagnosis.evidence["recommended: one in"] == 4  # 600 ms after 1400: 600 / 1400 * 9
