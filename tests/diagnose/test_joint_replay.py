"""What changes save together: properties of the replay over runs with several faults at once.

Where host and workers take turns, changes of different times add up at most. With workers they need not: a loop that
waits for its batches gains from a faster step only once batches are faster, so both together may save more than the sum
of each alone. What holds always: nothing saves more than there is of it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic import SyntheticRun

from slowprobe.diagnose import engine
from slowprobe.diagnose.engine import LoadedRule, examine
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.rule import Diagnosis, Rule
from slowprobe.timeline.loop_changes import GONE, Change, Factor, Fewer, Reload, Scale
from slowprobe.timeline.replay import WAIT_BUCKETS, Outlook

ROUNDING_S = 1e-6
WAITED = [*WAIT_BUCKETS]
HELD = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
MILLISECONDS = st.sampled_from([0.5, 2.0, 6.0, 15.0, 30.0])


@st.composite
def runs(draw: st.DrawFn, workers: tuple[int, ...] = (0, 1, 2, 4)) -> Evidence:
    """Loops with an input that costs something, logging, Python, saves and evaluations, or without."""
    with tempfile.TemporaryDirectory() as folder:
        run = SyntheticRun(Path(folder), cores=draw(st.sampled_from([2, 4, 16])))
        count, keeps = draw(st.sampled_from(workers)), draw(st.booleans())
        loader = run.loader(1, num_workers=count, persistent_workers=keeps and count > 0)
        other = run.loader(2)
        fetch_ms, collate_ms, forward_ms = draw(MILLISECONDS), draw(st.sampled_from([0.0, 3.0])), draw(MILLISECONDS)
        cpu, start_ms = draw(st.sampled_from([0.1, 1.0])), draw(st.sampled_from([0.1, 40.0]))
        log_ms, python_ms, save_ms = (draw(st.sampled_from([0.0, most])) for most in (4.0, 7.0, 60.0))
        evaluates = draw(st.booleans())
        for _ in range(draw(st.integers(1, 2))):
            with run.epoch(loader, start_ms=start_ms, first_ms=start_ms if count else 0.0):
                for _ in range(16):
                    run.batch(loader, fetch_ms, collate_ms, fetch_cpu=cpu)
                    run.train(forward_ms, 2 * forward_ms, 1.0)
                    run.log(log_ms, 7)
                    run.python(python_ms, 8)
            if evaluates:
                run.evaluate(other, 5, fetch_ms=fetch_ms, forward_ms=forward_ms, line=9)
            if save_ms:
                run.save(save_ms, 10)
        evidence = run.evidence()
        assert evidence.replay.loop_s > 0 and evidence.steps  # while the folder is there
        return evidence


FACTORS = st.sampled_from([GONE, Factor(0.5, 0.5, 0.5), Factor(0.1, 0.4, 0.9), Factor(0.7, 0.8, 1.0)])


@st.composite
def scales(draw: st.DrawFn, evidence: Evidence) -> Scale:
    cells = [(cell, s) for cell, s in evidence.partition.seconds.items() if cell[0] in ("step", "off_step") and s > 0]
    (scope, bucket), seconds = draw(st.sampled_from([cell for cell in cells if cell[0][1] != "slowprobe"]))
    return Scale(bucket, scope, seconds * draw(st.sampled_from([0.3, 0.7, 1.0, 1.2])), draw(FACTORS))


@st.composite
def reloads(draw: st.DrawFn, evidence: Evidence) -> Reload:
    loader = draw(st.sampled_from(evidence.loaders))
    more = loader.num_workers + draw(st.integers(1, 3))
    return draw(
        st.sampled_from(
            [
                Reload(loader.id, more),
                Reload(loader.id, more, True),
                Reload(loader.id, persistent_workers=True),
                Reload(loader.id, prefetch_factor=6),
                Reload(loader.id, fetch=draw(FACTORS)),
                Reload(loader.id, collate=draw(FACTORS)),
                Reload(loader.id, cached=Factor(1.0, 1.0, 1.0)),
            ]
        )
    )


def _changes(data: st.DataObject, evidence: Evidence) -> list[Change]:
    return data.draw(st.lists(st.one_of(scales(evidence), reloads(evidence)), max_size=5))


@settings(max_examples=40, deadline=None, suppress_health_check=HELD)
@given(data=st.data(), evidence=runs())
def test_no_saving_is_larger_than_the_loop_and_ranges_are_in_order(data, evidence):
    changes = _changes(data, evidence)
    for chosen in ([], changes, *([change] for change in changes)):
        outlook = evidence.replay.outlook(chosen)
        assert 0 <= outlook.saved_s <= evidence.replay.loop_s + ROUNDING_S
        assert 0 <= outlook.best_s <= outlook.expected_s + ROUNDING_S <= outlook.worst_s + 2 * ROUNDING_S
        assert 1 <= outlook.speedup[0] <= outlook.speedup[1] <= outlook.speedup[2]
    assert evidence.replay.outlook([]).saved_s == pytest.approx(0.0, abs=ROUNDING_S)


@settings(max_examples=40, deadline=None, suppress_health_check=HELD)
@given(data=st.data(), evidence=runs(workers=(0,)))
def test_without_workers_changes_add_up_at_most(data, evidence):
    changes = data.draw(st.lists(scales(evidence), max_size=6))
    joint = evidence.replay.outlook(changes)
    alone = [evidence.replay.outlook([change]).saved_s for change in changes]
    assert max(alone, default=0.0) - ROUNDING_S <= joint.saved_s <= sum(alone) + ROUNDING_S


@settings(max_examples=40, deadline=None, suppress_health_check=HELD)
@given(data=st.data(), evidence=runs())
def test_the_input_saves_no_more_than_the_loop_waits_for_it(data, evidence):
    """However many rules mend it: scaled waits, more workers and cheaper batches are the same seconds."""
    loader = next(each for each in evidence.loaders if each.primary)
    of_input = [each for each in _changes(data, evidence) if _is_input(each, loader.id)]
    of_input += [Scale(b, "step", evidence.partition.bucket_s(b, "step"), data.draw(FACTORS)) for b in WAITED]
    of_input.append(Reload(loader.id, loader.num_workers + 2, True, fetch=data.draw(FACTORS)))
    waited_s = sum(evidence.partition.bucket_s(bucket, "step") for bucket in WAITED)
    starting_s = evidence.partition.bucket_s("epoch", "off_step") + 0.05 * loader.passes * max(loader.num_workers, 1)
    assert evidence.replay.outlook(of_input).saved_s <= waited_s + starting_s + ROUNDING_S


def _is_input(change: Change, loader: int) -> bool:
    if isinstance(change, Reload):
        return change.loader == loader
    return change.bucket in WAITED and change.scope == "step"


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_input_work_hidden_under_workers_saves_nothing(tmp_path, workers):
    run = SyntheticRun(tmp_path, cores=16)
    loader = run.loader(1, num_workers=workers, persistent_workers=True)
    with run.epoch(loader, first_ms=15.0):
        for _ in range(100):
            run.batch(loader, 15.0 * workers)
            run.train(8.0, 16.0, 1.0)
    replay = run.evidence().replay
    hidden = [
        Reload(loader.subject, fetch=GONE),
        Reload(loader.subject, workers + 4),
        Reload(loader.subject, collate=GONE),
    ]
    for changes in ([hidden[0]], [hidden[1]], hidden):  # the first batch is waited for, and a queue is not for nothing
        assert replay.outlook(changes).saved_s <= (15.0 * workers + 5.0) / 1000


def test_the_same_wait_is_saved_once(tmp_path):
    """Half of the loop is the input. Scaling it to half and hiding it saves that half, not three quarters."""
    run = SyntheticRun(tmp_path, cores=16)
    loader = run.loader(1)
    with run.epoch(loader, start_ms=0, stop_ms=0):
        for _ in range(100):
            run.batch(loader, 20.0, fetch_cpu=0.1)
            run.train(6.0, 12.0, 2.0)
    replay = run.evidence().replay
    halved, hidden = Scale("fetch", "step", 2.0, Factor(0.5, 0.5, 0.5)), Reload(loader.subject, 4, True)
    assert replay.outlook([halved]).saved_s == pytest.approx(1.0)
    alone = replay.outlook([hidden]).saved_s
    assert 1.7 < alone <= 2.0
    assert alone < replay.outlook([halved, hidden]).saved_s <= 2.0


@pytest.mark.parametrize("workers", [0, 2])
def test_fewer_steps_are_no_less_work_for_their_batches(tmp_path, workers):
    """A third of the steps with their waits; of the batches that are left, cheaper ones save as much as before each."""
    run = SyntheticRun(tmp_path, cores=16)
    loader = run.loader(1, num_workers=workers)
    with run.epoch(loader, start_ms=0, stop_ms=0):
        for _ in range(100):
            run.batch(loader, 20.0 * max(workers, 1))
            run.train(2.0, 4.0, 1.0)
    replay = run.evidence().replay
    fewer, cheaper = Fewer(Factor(1 / 3, 1 / 3, 1.0)), Reload(loader.subject, fetch=Factor(0.5, 0.5, 0.5))
    after_s = replay.outlook([cheaper]).expected_s
    assert replay.outlook([fewer]).expected_s == pytest.approx(replay.loop_s / 3, rel=0.02)
    assert replay.outlook([fewer]).worst_s == pytest.approx(replay.loop_s)
    assert replay.outlook([fewer, cheaper]).expected_s == pytest.approx(after_s / 3, rel=0.02)


def _rule(name: str, *changes: Change) -> LoadedRule:
    module = ModuleType(name)
    module.RULE = Rule(name, "input", ("steps",))  # type: ignore[attr-defined]
    module.check = lambda run: Diagnosis("seen", [Where("a.py", 1, "f")], Fix("mend"), changes)  # type: ignore[attr-defined]
    return LoadedRule(name, module.RULE, "", module)


@settings(max_examples=40, deadline=None, suppress_health_check=HELD)
@given(data=st.data(), evidence=runs())
def test_all_findings_together_save_no_less_than_one(data, evidence):
    rules = [_rule(f"rule-{number}", change) for number, change in enumerate(_changes(data, evidence))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "discover", lambda: rules)
        examined = examine(evidence)
    alone = [finding.saving.seconds for finding in examined.findings]
    assert max(alone, default=0.0) <= examined.joint.saved_s + 1e-3  # findings are rounded to a millisecond
    assert examined.joint.saved_s <= evidence.replay.loop_s + ROUNDING_S


def test_the_larger_of_two_numbers_of_workers_that_helps_more_holds(monkeypatch, tmp_path):
    run = SyntheticRun(tmp_path, cores=16)
    loader = run.loader(1)
    with run.epoch(loader):
        for _ in range(60):
            run.batch(loader, 60.0, fetch_cpu=0.1)
            run.train(4.0, 8.0, 1.0)
    evidence = run.evidence()
    few, many = _rule("a-few", Reload(loader.subject, 1)), _rule("b-many", Reload(loader.subject, 5, True))
    for rules in ([few, many], [many, few]):
        monkeypatch.setattr(engine, "discover", lambda rules=rules: rules)
        examined = examine(evidence)
        assert examined.joint.saved_s == pytest.approx(examined.findings[0].saving.seconds, abs=1e-3)
        assert examined.findings[0].rule == "b-many"


def test_without_findings_nothing_is_saved(monkeypatch, tmp_path):
    run = SyntheticRun(tmp_path)
    for _ in range(5):
        run.train()
    monkeypatch.setattr(engine, "discover", list)
    joint = examine(run.evidence()).joint
    assert isinstance(joint, Outlook) and joint.saved_s == pytest.approx(0.0, abs=1e-9)
