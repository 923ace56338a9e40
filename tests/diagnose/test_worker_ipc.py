from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask

SOURCE = """\
loader = DataLoader(images, batch_size=32, num_workers=2)
for batch in loader:
    net(batch).backward()
    optimizer.step()
"""
RULE = "worker-ipc"
BATCHES = 100
OBJECTS = {"payload": 1_000_000, "size": 0}
TENSORS = {"payload": 40_000, "size": 500_000}
IMAGES = {"payload": 500, "size": 80_000_000}


def record(
    tmp_path,
    take_ms=5.0,
    give_ms=6.0,
    payload=1_000_000,
    size=0,
    fetch_ms=2.0,
    workers=2,
    known=True,
    cpu_ms=None,
    collect_ms=0.0,
    source=SOURCE,
    tensors=-1,
):
    """The loop waits `take_ms` for each batch, in which it is handed over."""
    run = SyntheticRun(tmp_path, source, cores=8)
    loader = run.loader(1, num_workers=workers, persistent_workers=True)
    if known:
        loader.hand_over_ms, loader.payload_bytes = give_ms, payload
        run.received(loader, take_ms if cpu_ms is None else cpu_ms)
    loader.tensors = tensors
    if size:
        run.batch_bytes(loader, size)
    with run.epoch(loader):
        for _ in range(BATCHES):
            run.batch(loader, fetch_ms, take_ms=take_ms if workers else 0.0, collect_ms=collect_ms)
            run.train(4.0, 8.0, 1.0)
    return run.evidence()


@pytest.mark.parametrize(("batch", "said"), [(OBJECTS, "Python objects"), (TENSORS, "571 tensors")])
def test_slow_names_the_loader_the_cause_and_saves_the_receiving(tmp_path, batch, said):
    verdict = ask(RULE, record(tmp_path, **batch))
    assert verdict.lines == [1]
    assert said in verdict.diagnosis.summary
    assert BATCHES * 0.0025 * 0.8 < verdict.saved_s < BATCHES * 0.005


def test_lists_beside_larger_tensors_are_told_from_many_tensors_by_their_number(tmp_path):
    lists = ask(RULE, record(tmp_path / "lists", payload=154_000, size=205_000, tensors=2))
    assert "154 KB of pickled Python objects" in lists.diagnosis.summary
    tensors = ask(RULE, record(tmp_path / "tensors", payload=154_000, size=205_000, tensors=2_200))
    assert "some 2200 tensors" in tensors.diagnosis.summary
    both = ask(RULE, record(tmp_path / "both", payload=67_000, size=205_000, tensors=96))
    assert "some 96 tensors" in both.diagnosis.summary


@pytest.mark.parametrize(("batch", "line"), [(OBJECTS, 5), (TENSORS, 5), (IMAGES, 1)])
def test_the_place_is_where_the_loader_is_told_how_to_collate(tmp_path, batch, line):
    made = "loader = DataLoader(\n    images,\n    batch_size=32,\n    num_workers=2,\n    collate_fn=list,\n)\n"
    source = made + SOURCE.partition("\n")[2]
    assert ask(RULE, record(tmp_path, **batch, source=source)).lines[0] == line


def test_what_unpickled_objects_set_off_in_the_collector_is_the_hand_overs(tmp_path):
    evidence = record(tmp_path, take_ms=12.0, collect_ms=7.0)
    verdict = ask(RULE, evidence)
    assert verdict.saved_s == pytest.approx(BATCHES * (0.012 - 0.001) * 0.9, rel=0.1), "a collection counts as step"
    assert "Collections while it unpickles take 28% of loop time" in verdict.diagnosis.summary
    other = ask("gc-pause", evidence)
    assert other.status == "passed" and "beside 28% that handing batches over sets off" in other.outcome.reason


def test_collections_beside_tensors_are_left_to_gc_pause(tmp_path):
    """Near miss: the collector runs while batches are taken over, but few objects come with them."""
    evidence = record(tmp_path, take_ms=8.0, cpu_ms=8.0, collect_ms=7.0, **IMAGES)
    assert ask("gc-pause", evidence).saved_s == pytest.approx(BATCHES * 0.007 * 0.95, rel=0.12)


def test_waiting_for_the_handles_of_idle_workers_counts(tmp_path):
    """Some 42 tensors: the thread is on the CPU for 5 ms of the 30 for which it waits."""
    verdict = ask(RULE, record(tmp_path, take_ms=30.0, cpu_ms=5.0, payload=3_000, size=500_000))
    assert verdict.saved_s == pytest.approx(BATCHES * 0.029 * 0.9, rel=0.05)


def test_large_float_batches_are_to_be_bytes(tmp_path):
    verdict = ask(RULE, record(tmp_path, **IMAGES))
    assert "uint8 instead of float32, 20 MB" in verdict.diagnosis.fix.text


def test_never_more_than_the_wait(tmp_path):
    verdict = ask(RULE, record(tmp_path, take_ms=2.0, give_ms=500.0))
    assert verdict.saved_s <= BATCHES * 0.002 + 0.01


def test_workers_that_pickle_all_the_time(tmp_path):
    """Making takes 2 ms, pickling 60, for two workers: the loop of 33 ms waits for that, not for the receiving."""
    verdict = ask(RULE, record(tmp_path, take_ms=20.0, give_ms=60.0))
    assert verdict.saved_s == pytest.approx(BATCHES * 0.019 * 0.9, rel=0.05)


def test_tensors_pass(tmp_path):
    assert ask(RULE, record(tmp_path, take_ms=0.5, give_ms=0.4, payload=500, size=500_000)).status == "passed"


def test_a_wait_for_slow_workers_is_not_the_hand_over(tmp_path):
    """Near miss: the loop waits and batches are pickled for long, but the workers are busy making them."""
    assert ask(RULE, record(tmp_path, take_ms=0.5, fetch_ms=60.0)).status == "passed"


def test_a_dear_hand_over_beside_long_steps_passes(tmp_path):
    assert ask(RULE, record(tmp_path, take_ms=1.2)).status == "passed"


def test_without_recordings_it_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, known=False)).status == "not-checked"


def test_without_workers_it_does_not_apply(tmp_path):
    assert ask(RULE, record(tmp_path, workers=0, known=False)).status == "not-applicable"
