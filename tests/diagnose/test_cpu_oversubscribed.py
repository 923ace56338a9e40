from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.operators import with_ops
from slowprobe.timeline.loop_changes import Reload, Threads
from slowprobe.timeline.neighbours import Neighbours
from slowprobe.timeline.uncontended import TRIED

SOURCE = """\
torch.set_num_threads(4)
loader = DataLoader(images, batch_size=32, num_workers=4)
for batch in loader:
    train(batch)
"""
RULE = "cpu-oversubscribed"
BATCHES = 120


def record(
    tmp_path,
    *,
    cores=4,
    threads=4,
    workers=4,
    fetch_ms=80.0,
    cpu=0.5,
    delayed=0.5,
    step_ms=40.0,
    used=3.0,
    start_ms=0.1,
):
    run = SyntheticRun(tmp_path, SOURCE, cores=cores)
    run.settings(num_threads=threads)
    loader = run.loader(2, num_workers=workers, persistent_workers=True)
    made_ms = BATCHES * fetch_ms / workers
    loader.gained = {"run_delay_ns": None if delayed is None else round(delayed * made_ms * 1e6)}
    run.stepped(loader, used)
    with run.epoch(loader, start_ms=start_ms):
        for _ in range(BATCHES):
            run.batch(loader, fetch_ms, fetch_cpu=cpu)
            run.train(0.4 * step_ms, 0.5 * step_ms, 0.1 * step_ms)
    return run.evidence()


def test_slow_names_fewer_threads(tmp_path):
    """Eight workers that compute half of the time beside a step on four threads, on four cores."""
    verdict = ask(RULE, record(tmp_path, workers=8, fetch_ms=40.0))
    (change,) = (each for each in verdict.diagnosis.changes if isinstance(each, Threads))
    assert change.count < 4
    assert verdict.lines == [1, 2]
    assert f"+torch.set_num_threads({change.count})" in verdict.diagnosis.fix.diff
    assert verdict.saved_s > 0


def test_workers_that_the_step_does_not_need_are_too_many(tmp_path):
    verdict = ask(RULE, record(tmp_path, workers=8, fetch_ms=40.0))
    assert any(isinstance(change, Reload) and change.num_workers < 8 for change in verdict.diagnosis.changes)


def test_fixed_passes(tmp_path):
    verdict = ask(RULE, record(tmp_path, threads=1, used=1.0, cores=8, cpu=1.0, delayed=0.02))
    assert verdict.status == "passed" and "2% of their time" in verdict.outcome.reason


def test_sleeping_workers_pass(tmp_path):
    """Near miss: as many workers and threads, but the workers wait for storage."""
    verdict = ask(RULE, record(tmp_path, cpu=0.02, delayed=0.25))
    assert verdict.status == "passed"


def test_serial_steps_pass(tmp_path):
    """Near miss: more processes than cores, but no parallel operator that they could hold up."""
    verdict = ask(RULE, record(tmp_path, used=1.0))
    assert verdict.status == "passed"


def test_a_dear_start_of_the_workers_is_another_cause(tmp_path):
    """Near miss: one worker less would save a second of starting it, and nothing of the steps."""
    verdict = ask(RULE, record(tmp_path, used=1.0, start_ms=8_000.0))
    assert verdict.status == "passed" and "are expected to gain 0%" in verdict.outcome.reason


def test_workers_that_are_started_anew_are_another_cause(tmp_path):
    """Near miss: fewer workers would help, because fewer would be started in each pass."""
    run = SyntheticRun(tmp_path, SOURCE, cores=4)
    run.settings(num_threads=4)
    loader = run.loader(2, num_workers=4)
    loader.gained = {"run_delay_ns": 10**9}
    run.stepped(loader, 3.0)
    for _ in range(6):
        with run.epoch(loader, start_ms=400.0, first_ms=200.0):
            for _ in range(20):
                run.batch(loader, 80.0, fetch_cpu=0.5)
                run.train(16.0, 20.0, 4.0)
    verdict = ask(RULE, run.evidence())
    assert verdict.status == "passed" and "worker-restart-each-epoch" in verdict.outcome.reason


def test_beside_other_programs_it_is_not_judged(tmp_path):
    evidence = record(tmp_path)
    evidence.__dict__["neighbours"] = Neighbours(busy=1.0, others=0.5)
    assert ask(RULE, evidence).status == "not-checked"


@pytest.mark.parametrize(("workers", "status"), [(0, "not-applicable"), (4, "not-checked")])
def test_without_workers_or_what_the_kernel_counts(tmp_path, workers, status):
    if workers:
        assert ask(RULE, record(tmp_path, delayed=None)).status == status
        return
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(2)
    with run.epoch(loader):
        run.batch(loader, 5)
        run.train()
    assert ask(RULE, run.evidence()).status == status


RANKS = """\
torch.set_num_threads(4)
torch.distributed.init_process_group("gloo")
for batch in batches:
    train(batch)
"""


def of_two_ranks(tmp_path, *, threads=4, alone_ms=5.0, single_ms=8.0, ranks=2, **settings):
    """Steps of 40 ms, 0.9 of it in operators, two ranks on four cores."""
    tmp_path.mkdir(exist_ok=True)
    run = SyntheticRun(tmp_path, RANKS, cores=4)
    run.settings(num_threads=threads, ranks=ranks, **settings)
    for _ in range(BATCHES):
        run.train(16.0, 20.0, 4.0)
    run.tried = {"operators.alone.tried_ms": 30.0, "operators.alone.all_ms": 36.0}
    run.tried |= {"operators.alone.now_ms": alone_ms, "operators.alone.edited_ms": single_ms} if alone_ms else {}
    return with_ops(run.evidence(), [], 40.0, work=0.8)


def test_ranks_that_each_take_all_cores_get_their_part(tmp_path):
    """Alone, operators take 6 ms on four threads and 9.6 on one: 7.2 on two, and 1.4 times that in the loop."""
    verdict = ask(RULE, of_two_ranks(tmp_path))
    assert verdict.lines == [1, 2]
    assert verdict.diagnosis.fix.diff == "-torch.set_num_threads(4)\n+torch.set_num_threads(2)"
    assert verdict.saved_s == pytest.approx(BATCHES * (0.9 * 40.0 - TRIED["expected"] * 7.2) / 1e3, rel=0.01)
    assert ask("intraop-threads", of_two_ranks(tmp_path / "again")).status == "passed"


def test_ranks_that_share_the_cores_out_pass(tmp_path):
    """Near miss: two ranks, two threads each."""
    assert ask(RULE, of_two_ranks(tmp_path, threads=2)).status == "not-applicable"


def test_ranks_whose_operators_were_not_held_up_pass(tmp_path):
    """Near miss: eight threads on four cores, but operators take as long alone."""
    assert ask(RULE, of_two_ranks(tmp_path, alone_ms=30.0, single_ms=60.0)).status == "passed"


def test_ranks_without_a_trial_are_not_checked(tmp_path):
    assert ask(RULE, of_two_ranks(tmp_path, alone_ms=0.0)).status == "not-checked"


def test_ranks_on_devices_need_no_cores_for_operators(tmp_path):
    assert ask(RULE, of_two_ranks(tmp_path, devices=["H200", "H200"])).status == "not-applicable"
