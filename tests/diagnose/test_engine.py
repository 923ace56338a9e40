"""The engine: discovery, isolation, ranking, and a total that counts nothing twice."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import SyntheticRun

from slowprobe.diagnose import engine
from slowprobe.diagnose.engine import LoadedRule, discover, examine, severity
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.rule import Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.timeline.loop_changes import Factor, Reload, Scale
from slowprobe.timeline.replay import Outlook

RULES = Path(engine.rules.__path__[0])
HEADINGS = ("What it is:", "Why it is slow:", "How it is seen:", "Stays quiet when:", "Fix:", "Sources:")
LOG_S, SAVE_S, EVALUATION_S = 0.100, 0.200, 0.300


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> Evidence:
    """A loop of 50 steps: 2 ms of logging a step, two saves of 100 ms, two evaluations of 150 ms."""
    run = SyntheticRun(tmp_path_factory.mktemp("run"))
    loader, test_loader = run.loader(1), run.loader(2)
    for _ in range(2):
        with run.epoch(loader, start_ms=0, stop_ms=0):
            for _ in range(25):
                run.batch(loader, 4.0, 1.0)
                run.train(4.0, 8.0, 1.0)
                run.log(2.0, 7)
        with run.epoch(test_loader, start_ms=0, stop_ms=0):
            for _ in range(10):
                run.batch(test_loader, 5.0)
                run.forward(10.0, 8, training=False, grad=False)
        run.save(100.0, 9)
    return run.evidence()


def rule(name, answer, needs=("steps",)) -> LoadedRule:
    module = ModuleType(name)

    def check(run):
        if isinstance(answer, Exception):
            raise answer
        return answer(run) if callable(answer) else answer

    module.RULE, module.check = Rule(f"Title of {name}", "host", needs), check
    return LoadedRule(name, module.RULE, "", module)


def diagnosis(*changes, summary="seen") -> Diagnosis:
    return Diagnosis(summary, [Where("train.py", 1, "main")], Fix("mend it"), changes)


def examined(monkeypatch, evidence, *loaded):
    monkeypatch.setattr(engine, "discover", lambda: list(loaded))
    return examine(evidence)


LOGGING = diagnosis(Scale("log", "step", LOG_S, Factor(0, 0, 0)))
SAVING = diagnosis(Scale("checkpoint", "off_step", SAVE_S, Factor(0, 0, 0)))


def test_rules_are_discovered_by_their_file_names():
    expected = {path.stem.replace("_", "-") for path in RULES.glob("*.py") if not path.stem.startswith("_")}
    assert {loaded.id for loaded in discover()} == expected


@pytest.mark.parametrize("loaded", discover(), ids=lambda loaded: loaded.id)
def test_every_rule_documents_and_declares_itself(loaded):
    positions = [loaded.documentation.find(f"\n{heading}") for heading in HEADINGS]
    missing = [heading for heading, position in zip(HEADINGS, positions, strict=True) if position < 0]
    assert not missing
    assert positions == sorted(positions)
    assert len(loaded.documentation.splitlines()[0]) <= 120
    assert set(loaded.rule.needs) <= {name for name in dir(Evidence) if not name.startswith("_")} | {"run", "recording"}


def test_every_rule_answers_on_a_run_with_little_in_it(tmp_path):
    run = SyntheticRun(tmp_path)
    for _ in range(5):
        run.train()
    outcomes = examine(run.evidence()).outcomes
    assert {name: outcome for name, outcome in outcomes.items() if outcome.status == "error"} == {}


def test_without_steps_nothing_applies(tmp_path):
    outcomes = examine(SyntheticRun(tmp_path).evidence()).outcomes
    assert {outcome.status for outcome in outcomes.values()} == {"not-applicable"}


def test_findings_are_ranked_by_what_they_save(monkeypatch, evidence):
    found = examined(monkeypatch, evidence, rule("logs", LOGGING), rule("saves", SAVING))
    assert [finding.rule for finding in found.findings] == ["saves", "logs"]
    assert [finding.saving.seconds for finding in found.findings] == [SAVE_S, LOG_S]
    assert found.outcomes["logs"].status == "found"


def test_a_rule_that_raises_harms_no_other(monkeypatch, evidence):
    found = examined(monkeypatch, evidence, rule("broken", ZeroDivisionError("by zero")), rule("logs", LOGGING))
    assert found.outcomes["broken"].status == "error"
    assert found.outcomes["broken"].reason == "ZeroDivisionError: by zero"
    assert [finding.rule for finding in found.findings] == ["logs"]


def test_a_change_that_cannot_be_replayed_is_an_error_of_its_rule(monkeypatch, evidence):
    found = examined(monkeypatch, evidence, rule("odd", diagnosis("no change")), rule("logs", LOGGING))
    assert found.outcomes["odd"].status in ("error", "passed")
    assert [finding.rule for finding in found.findings] == ["logs"]


def test_undeclared_evidence_is_an_error(monkeypatch, evidence):
    found = examined(monkeypatch, evidence, rule("peeks", lambda run: Passed(str(run.loaders))))
    assert found.outcomes["peeks"].status == "error"
    assert "'loaders' is not among the rule's needs" in found.outcomes["peeks"].reason


def test_missing_evidence_is_not_checked(monkeypatch, evidence):
    found = examined(monkeypatch, evidence, rule("windows", lambda run: Passed(str(run.ops)), ("ops",)))
    assert (found.outcomes["windows"].status, found.outcomes["windows"].reason) == (
        "not-checked",
        "no profiler window was recorded",
    )


def test_all_answers_have_their_outcome(monkeypatch, evidence):
    answers = {"a": Passed("fine"), "b": NotApplicable("none"), "c": NotChecked("blind"), "d": []}
    found = examined(monkeypatch, evidence, *(rule(name, answer) for name, answer in answers.items()))
    assert [(o.status, o.reason) for o in found.outcomes.values()] == [
        ("passed", "fine"),
        ("not-applicable", "none"),
        ("not-checked", "blind"),
        ("passed", "nothing found"),
    ]
    assert found.findings == []
    assert found.joint.saved_s == pytest.approx(0.0, abs=1e-9)


def test_a_saving_below_one_percent_is_no_finding(monkeypatch, evidence):
    small = diagnosis(Scale("log", "step", 0.005, Factor(0, 0, 0)))
    found = examined(monkeypatch, evidence, rule("small", small), rule("logs", LOGGING))
    assert found.outcomes["small"].status == "passed"
    assert found.joint.saved_s == pytest.approx(LOG_S), "what is no finding is not in the total"


def test_severity_is_by_share_of_loop_time():
    assert [severity(Outlook(10.0, after, after, after), Evidence.serious_s) for after in (8.0, 8.1, 9.5, 9.6)] == [
        "high",
        "medium",
        "medium",
        "low",
    ]


def test_an_edit_that_may_save_nothing_is_less_grave():
    for after, expected in ((5.9, "high"), (7.0, "medium"), (8.9, "medium"), (9.1, "low")):
        assert severity(Outlook(10.0, 5.0, after, 9.95), Evidence.serious_s) == expected
    assert severity(Outlook(10.0, 6.0, 7.0, 9.8), Evidence.serious_s) == "high"


def test_changes_side_by_side_add_up(evidence):
    halves = [Scale("log", "step", LOG_S / 2, Factor(0, 0, 0))] * 2
    assert evidence.replay.outlook(halves).saved_s == pytest.approx(LOG_S)
    assert evidence.replay.outlook([*LOGGING.changes, *SAVING.changes]).saved_s == pytest.approx(LOG_S + SAVE_S)


def test_the_same_time_is_saved_once(evidence):
    twice = evidence.replay.outlook([*LOGGING.changes, *LOGGING.changes])
    assert twice.saved_s == pytest.approx(LOG_S)


def test_fewer_and_cheaper_evaluations_multiply(evidence):
    half, forward_s = Factor(0.5, 0.5, 0.5), 0.200
    cheaper = Scale("evaluation", "off_step", forward_s, half)
    fewer = Scale("evaluation", "off_step", EVALUATION_S, half)
    assert evidence.replay.outlook([cheaper]).saved_s == pytest.approx(0.1)
    assert evidence.replay.outlook([fewer]).saved_s == pytest.approx(0.15)
    assert evidence.replay.outlook([cheaper, fewer]).saved_s == pytest.approx(0.3 - (0.3 - 0.1) / 2)


def test_workers_for_evaluations_that_are_gone_save_nothing(evidence):
    test_loader = next(loader for loader in evidence.loaders if loader.role == "evaluation")
    reload = Reload(test_loader.id, 2, True)
    gone = Scale("evaluation", "off_step", EVALUATION_S, Factor(0, 0, 0))
    assert evidence.replay.outlook([reload]).saved_s > 0.01
    assert evidence.replay.outlook([gone, reload]).saved_s == pytest.approx(EVALUATION_S)


CHANGES = st.lists(
    st.builds(
        Scale,
        st.sampled_from(["log", "forward", "fetch", "checkpoint", "evaluation", "absent"]),
        st.sampled_from(["step", "off_step"]),
        st.floats(0, 0.6),
        st.lists(st.floats(0, 1), min_size=3, max_size=3).map(lambda parts: Factor(*sorted(parts))),
    ),
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(changes=CHANGES)
def test_the_joint_replay_stays_within_its_bounds(evidence, changes):
    replay = evidence.replay
    joint = replay.outlook(changes)
    alone = [replay.outlook([change]).saved_s for change in changes]
    assert joint.saved_s <= sum(alone) + 1e-9
    assert joint.saved_s >= max(alone, default=0.0) - 1e-9
    assert 0 <= joint.best_s <= joint.expected_s + 1e-9 <= joint.worst_s + 2e-9
    low, expected, high = joint.speedup
    assert 1 <= low <= expected <= high


def test_a_saving_that_nobody_would_feel_is_low_however_large_its_share() -> None:
    assert severity(Outlook(0.1, 0.06, 0.06, 0.06), Evidence.serious_s) == "low"
    assert severity(Outlook(10.0, 6.0, 6.0, 6.0), Evidence.serious_s) == "high"
