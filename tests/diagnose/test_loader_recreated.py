from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
loader = DataLoader(images, batch_size=32, shuffle=True)
for step in range(100):
    x, y = next(iter(loader))
    train(x, y)
    log(loss)
"""
ANEW = SOURCE.replace("iter(loader)", "iter(DataLoader(images))")
APART = SOURCE.replace("    x, y = next(iter(loader))\n", "    it = iter(loader)\n    x, y = next(it)\n")
RULE = "loader-recreated"
STEPS = 100


def record(
    tmp_path,
    *,
    source=SOURCE,
    workers=0,
    passes=STEPS,
    length=1000,
    shuffle_ms=9.0,
    ended=False,
    sampled=True,
    tried=None,
):
    tmp_path.mkdir(exist_ok=True)
    run = SyntheticRun(tmp_path, source)
    run.tried = tried or {}
    loader = run.loader(1, num_workers=workers, length=length)
    line = next(number for number, text in enumerate(source.splitlines(), 1) if "next(i" in text)
    where = {"line": line, "callee": "_BaseDataLoaderIter.__next__"} if sampled else {}
    for _ in range(passes):
        with run.epoch(loader, start_ms=20.0 if workers else 0.1, stop_ms=0.1 if ended else None):
            for _ in range(STEPS // passes):
                if workers:
                    run.batch(loader, 6.0)
                else:
                    with run.inside("data_wait", loader.subject):
                        run.spend(shuffle_ms, **where)
                        run.span("fetch", loader.subject, 1.0)
                run.train(4.0, 5.0, 1.0)
    return run.evidence()


def test_slow_names_the_request_and_saves_what_beginning_a_pass_takes(tmp_path):
    """Of 20 ms a step, 9 go into shuffling for one batch."""
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [3, 1]
    assert verdict.saved_s == pytest.approx(STEPS * 0.009, rel=0.1)
    diff = verdict.diagnosis.fix.diff.splitlines()
    assert diff[0] == "-x, y = next(iter(loader))"
    assert diff[1].startswith("+batches = iter(loader)")
    assert diff[2] == "+x, y = next(batches)"


def test_steps_are_shorter_without_the_pauses_between_them(tmp_path):
    """A stand-in of 10 ms, as long as the step, takes 4 ms longer after pauses of 10 ms."""
    without = ask(RULE, record(tmp_path / "a")).saved_s
    tried = {"pause.0_ms": 10.0, "pause.10_ms": 14.0}
    verdict = ask(RULE, record(tmp_path / "b", tried=tried))
    assert verdict.saved_s - without == pytest.approx(STEPS * 0.003, rel=0.4)


def test_slow_with_workers_saves_their_starts_and_the_waits(tmp_path):
    """20 ms to start workers and 6 to wait for what they make; kept, two workers hide it behind steps of 10 ms."""
    evidence = record(tmp_path, workers=2)
    verdict = ask(RULE, evidence)
    assert verdict.saved_s == pytest.approx(STEPS * 0.0255, rel=0.1)
    assert ask("worker-restart-each-epoch", evidence).status == "passed"
    assert "loader-recreated" in ask("workers-too-few", evidence).outcome.reason


def test_more_steps_than_batches_need_pass_after_pass(tmp_path):
    diff = ask(RULE, record(tmp_path, length=30)).diagnosis.fix.diff
    assert "+batches = (batch for _ in itertools.count() for batch in loader)" in diff


def test_a_loader_made_anew_and_an_iterator_in_a_line_of_its_own(tmp_path):
    assert "+batches = iter(DataLoader(images))" in ask(RULE, record(tmp_path, source=ANEW)).diagnosis.fix.diff
    apart = ask(RULE, record(tmp_path / "apart", source=APART)).diagnosis.fix.diff.splitlines()
    assert apart[:2] == ["-it = iter(loader)", "-x, y = next(it)"]
    assert apart[-1] == "+x, y = next(batches)"


def test_without_samples_the_line_that_makes_the_loader_is_named(tmp_path):
    assert ask(RULE, record(tmp_path, sampled=False)).lines == [1]


def test_fixed_passes(tmp_path):
    assert ask(RULE, record(tmp_path, passes=1, shuffle_ms=0.05)).status == "passed"


@pytest.mark.parametrize(("length", "ended"), [(1, True), (None, True)])
def test_a_dataset_of_one_batch_passes(tmp_path, length, ended):
    """Near miss: every pass has one batch because there is only one."""
    assert ask(RULE, record(tmp_path, length=length, ended=ended)).status == "passed"


def test_iterable_given_up_is_found(tmp_path):
    assert ask(RULE, record(tmp_path, length=None)).status == "found"


def test_cheap_iterators_pass(tmp_path):
    """Near miss: an iterator a step, but beginning one costs nothing that counts."""
    assert ask(RULE, record(tmp_path, shuffle_ms=0.02)).status == "passed"


def test_without_a_loader_it_does_not_apply(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    for _ in range(20):
        run.train()
    assert ask(RULE, run.evidence()).status == "not-applicable"
