from __future__ import annotations

from dataclasses import replace

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.operators import line_ops, with_ops

SOURCE = """\
def save_checkpoint(path, step):
    state = copy.deepcopy(model.state_dict())
    torch.save(state, path + ".tmp")
    os.replace(path + ".tmp", path)


def main():
    step = 0
    for epoch in range(3):
        for batch in loader:
            loss = model(batch)
            loss.backward()
            optimizer.step()
            step += 1
            save_checkpoint("last.pt", step)
"""
INLINE = """\
def main():
    for step, batch in enumerate(loader):
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            state = copy.deepcopy(model.state_dict())
            torch.save(state, path)
            metrics = summarise(batch)
"""
RULE = "checkpoint-blocking"
STEPS, STEP_MS = 200, 15.0
CALL = 15


def train(run, loader):
    run.batch(loader, 1.0)
    run.train(4.0, 8.0, 1.0)
    run.python(1.0)


def record(tmp_path, *, every=1, copy_ms=2.0, save_ms=10.0, replace_ms=0.0, **sampling):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(None)
    with run.epoch(loader):
        for step in range(STEPS):
            train(run, loader)
            if step % every == 0:
                run.python(copy_ms, run.line("deepcopy"), "save_checkpoint")
                run.save(save_ms, run.line("torch.save"), "save_checkpoint")
                run.python(replace_ms, run.line("os.replace"), "save_checkpoint", **sampling)
    return run.evidence()


def test_slow_names_the_save_and_what_stands_around_it(tmp_path):
    slow = record(tmp_path / "slow", replace_ms=1.0)
    verdict = ask(RULE, slow)
    assert verdict.lines == [CALL, 3, 2, 4], "the call in the loop is the line to edit"
    assert [where.share for where in verdict.diagnosis.where] == pytest.approx([1.0, 10 / 13, 2 / 13, 1 / 13], abs=0.01)
    # 13 ms in every 15 ms: 13 / (0.015 * 15) = 58 steps apart, rounded up to 100
    assert verdict.diagnosis.evidence["recommended steps between two"] == 100
    fixed = record(tmp_path / "fixed", every=100, replace_ms=1.0)
    assert verdict.saved_s == pytest.approx(slow.partition.loop_s - fixed.partition.loop_s, rel=0.02)
    assert verdict.diagnosis.fix.diff == (
        '-save_checkpoint("last.pt", step)\n+if step % 100 == 0:\n+    save_checkpoint("last.pt", step)'
    )
    assert "every step" in verdict.diagnosis.summary


def test_waiting_for_the_rename_is_the_checkpoints_alone(tmp_path):
    evidence = record(tmp_path, replace_ms=5.0, cpu_ms=0.2)
    assert ask(RULE, evidence).lines == [CALL, 3, 4, 2]
    assert ask("external-wait", evidence).status == "passed"


def test_python_of_the_helper_that_saves_is_the_checkpoints_alone(tmp_path):
    evidence = with_ops(
        record(tmp_path, copy_ms=8.0),
        [line_ops(11, 3, op="aten::mm", function="main", forward_ms=4.0, left_ms=4.0)],
        32.0,
    )
    assert ask(RULE, evidence).lines == [CALL, 3, 2]
    assert ask("python-bound", evidence).status == "passed"


def test_an_interval_that_is_too_short_is_raised(tmp_path):
    run = SyntheticRun(tmp_path, INLINE)
    loader = run.loader(None)
    with run.epoch(loader):
        for step in range(STEPS):
            train(run, loader)
            if step % 10 == 0:
                run.python(5.0, run.line("deepcopy"))
                run.save(30.0, run.line("torch.save"))
                run.python(10.0, run.line("summarise"))
    verdict = ask(RULE, run.evidence())
    assert verdict.lines == [7, 6], "summarise() stands beside the save but does not belong to it"
    # 35 ms each; 15.5 ms a step: 35 / (0.015 * 15.5 * 10) = 15.1 times rarer, rounded up to 20
    assert verdict.diagnosis.fix.diff == "-if step % 10 == 0:\n+if step % 200 == 0:"
    assert verdict.saved_s == pytest.approx(20 * 0.035 * (1 - 1 / 20), rel=0.02)


def test_rare_checkpoints_pass(tmp_path):
    assert ask(RULE, record(tmp_path, every=100)).status == "passed"


def test_a_checkpoint_after_each_long_epoch_passes(tmp_path):
    """Near miss: half a second of saving, but after twenty seconds of training."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(None)
    for _ in range(2):
        with run.epoch(loader):
            for _ in range(1_300):
                train(run, loader)
        run.save(500.0, 3, "save_checkpoint")
    assert ask(RULE, run.evidence()).status == "passed"


def test_a_save_after_training_does_not_apply(tmp_path):
    """Near miss: writing the final model takes as long as the training, once it is over."""
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(None)
    with run.epoch(loader):
        for _ in range(20):
            train(run, loader)
    run.save(500.0, 3)
    assert ask(RULE, run.evidence()).status == "not-applicable"


def test_without_samples_the_save_calls_are_enough(tmp_path):
    evidence = record(tmp_path)
    evidence.recording.sampled.rows.clear()
    verdict = ask(RULE, evidence)
    assert verdict.lines == [CALL, 3]
    assert verdict.saved_s == pytest.approx(STEPS * 0.010 * 49 / 50, rel=0.01)


def test_a_trainers_own_checkpoints_are_weighed_alone_and_its_line_is_not_edited(tmp_path):
    run = SyntheticRun(tmp_path, "trainer.fit(net)\n")
    for _ in range(6):
        for _ in range(10):
            run.forward(4.0, 1)
            run.backward(8.0, 1)
            run.optimizer(1.0, 1)
            run.python(20.0, 1, "<module>")
        run.save(400.0, 1, "<module>")
    verdict = ask(RULE, run.evidence())
    assert verdict.diagnosis.fix.diff == ""
    assert verdict.saved_s <= 6 * 0.4


def trainer_run(tmp_path, every, *, files=4, apart=0):
    """A trainer's checkpoint of `files` files every `every` steps, `apart` steps between two of them."""
    run = SyntheticRun(tmp_path, "trainer.train()\n")
    loader = run.loader(1)
    with run.epoch(loader):
        for step in range(120):
            train(run, loader)
            for file in range(files):
                if step % every == file * apart:
                    run.save(50.0, 1, "<module>")
                    run.python(0.2, 1, "<module>")
    return run.evidence()


def test_the_files_of_one_checkpoint_are_one_checkpoint(tmp_path):
    """A trainer saves model, optimizer, scheduler and generators one after another, all below the same line."""
    verdict = ask(RULE, trainer_run(tmp_path, 20))
    evidence = verdict.diagnosis.evidence
    assert (evidence["checkpoints"], evidence["steps between two"]) == (6, 20.0)
    assert evidence["one checkpoint, ms"] == pytest.approx(200, rel=0.02)
    assert "every 20 steps" in verdict.diagnosis.summary


def test_saves_with_training_between_them_are_checkpoints_of_their_own(tmp_path):
    """Near miss: four saves every 20 steps, too, but a step apart."""
    assert ask(RULE, trainer_run(tmp_path, 20, apart=1)).diagnosis.evidence["checkpoints"] == 24


def test_checkpoints_of_a_thinned_run_are_counted_by_what_was_kept(tmp_path):
    evidence = trainer_run(tmp_path, 20)
    key = evidence.recording.keys("save")[0]
    total = evidence.recording.totals[key]
    evidence.recording.totals[key] = replace(total, count=10 * total.count)
    assert evidence.saves[0].occasions == 60
