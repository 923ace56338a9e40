"""The order of findings: by saving, and a cause before an edit that does its work elsewhere or keeps its result."""

from __future__ import annotations

from types import ModuleType

import pytest
from synthetic import SyntheticRun

from slowprobe.diagnose import engine
from slowprobe.diagnose.engine import LoadedRule, discover, examine
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.rule import Diagnosis, Rule
from slowprobe.timeline.loop_changes import Factor, Reload, Scale

BATCHES = 100
STEP_S, FETCH_S = 0.010, 0.020


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> Evidence:
    """Without workers: 20 ms of fetching, a step of 10 ms with 3 of logging; another loader feeds evaluations."""
    run = SyntheticRun(tmp_path_factory.mktemp("run"), cores=4)
    loader, test_loader = run.loader(1), run.loader(2)
    with run.epoch(loader, start_ms=0, stop_ms=0):
        for _ in range(BATCHES):
            run.batch(loader, FETCH_S * 1e3)
            run.train(3.0, 3.0, 1.0)
            run.log(3.0, 7)
    run.evaluate(test_loader, 20, fetch_ms=20.0)
    return run.evidence()


def rule(name, change, before=(), **settings) -> LoadedRule:
    module = ModuleType(name)
    module.RULE = Rule(f"Title of {name}", "input", ("steps",), before=before)
    module.check = lambda run: Diagnosis(
        "seen", [Where("train.py", abs(hash(name)), "main")], Fix("mend it"), [change], **settings
    )
    return LoadedRule(name, module.RULE, "", module)


def order(monkeypatch, evidence, *loaded) -> list[str]:
    monkeypatch.setattr(engine, "discover", lambda: list(loaded))
    return [finding.rule for finding in examine(evidence).findings]


def left(part) -> Factor:
    return Factor(part, part, part)


TRAINING, EVALUATION = 0, 1


def cheaper(evidence, part, which=TRAINING) -> Reload:
    return Reload(evidence.loaders[which].id, fetch=left(part))


def elsewhere(evidence) -> LoadedRule:
    return rule("elsewhere", Reload(evidence.loaders[TRAINING].id, 4, True))


@pytest.mark.parametrize(("part", "first"), [(0.4, "cause"), (0.9, "elsewhere")])
def test_a_cause_goes_first_where_it_leaves_little_to_cover_up(monkeypatch, evidence, part, first):
    """Workers save 9 ms or more a step. Of 20 ms the one edit leaves 8, which they could hide as well; the other 18."""
    cause = rule("cause", cheaper(evidence, part), before=("elsewhere",))
    assert order(monkeypatch, evidence, cause, elsewhere(evidence))[0] == first


def test_it_goes_first_even_where_it_saves_less(monkeypatch, evidence):
    cause = rule("cause", cheaper(evidence, 0.4), before=("elsewhere",))
    monkeypatch.setattr(engine, "discover", lambda: [cause, elsewhere(evidence)])
    findings = examine(evidence).findings
    assert [finding.rule for finding in findings] == ["cause", "elsewhere"]
    assert 0.5 * findings[1].saving.seconds < findings[0].saving.seconds < findings[1].saving.seconds


def test_without_the_declaration_or_of_another_loader_the_saving_decides(monkeypatch, evidence):
    undeclared = rule("cause", cheaper(evidence, 0.4))
    assert order(monkeypatch, evidence, undeclared, elsewhere(evidence)) == ["elsewhere", "cause"]
    evaluation = rule("cause", cheaper(evidence, 0.0, EVALUATION), before=("elsewhere",))
    assert order(monkeypatch, evidence, evaluation, elsewhere(evidence)) == ["elsewhere", "cause"]


def test_it_takes_the_place_of_what_covers_it_up(monkeypatch, evidence):
    """A finding between the two comes after both: the batches are the larger matter."""
    cause = rule("cause", cheaper(evidence, 0.4), before=("elsewhere",))
    saved_s = evidence.replay.outlook([cheaper(evidence, 0.4)]).saved_s
    between = rule("between", Scale("forward", "step", saved_s * 1.05, left(0.0)))
    small = rule("small", Scale("log", "step", 0.1, left(0.0)))
    found = order(monkeypatch, evidence, small, between, elsewhere(evidence), cause)
    assert found[:2] == ["cause", "elsewhere"]
    assert found[-1] == "small"


def test_offers_stay_last_and_cover_nothing_up(monkeypatch, evidence):
    cause = rule("cause", cheaper(evidence, 0.6), before=("elsewhere",), offer=True)
    assert order(monkeypatch, evidence, cause, elsewhere(evidence)) == ["elsewhere", "cause"]


def test_the_same_time_is_counted_once(monkeypatch, evidence):
    cause = rule("cause", cheaper(evidence, 0.4), before=("elsewhere",))
    monkeypatch.setattr(engine, "discover", lambda: [cause, elsewhere(evidence)])
    examined = examine(evidence)
    alone = [finding.saving.seconds for finding in examined.findings]
    assert max(alone) - 1e-3 <= examined.joint.saved_s < sum(alone)
    assert examined.joint.saved_s <= BATCHES * FETCH_S + 0.1


def test_only_rules_that_exist_are_named():
    known = {loaded.id for loaded in discover()}
    assert {name for loaded in discover() for name in (*loaded.rule.before, *loaded.rule.closer_than)} <= known


def test_no_two_rules_go_before_each_other():
    before = {loaded.id: set(loaded.rule.before) for loaded in discover()}
    assert not [(one, two) for one, names in before.items() for two in names if one in before[two]]


# -- real rules ----------------------------------------------------------------------------------------------------

SOURCE = """\
class Texts(Dataset):
    def __getitem__(self, index):
        ids = self.tokenizer.encode(self.texts[index])
        with np.load(self.path) as archive:
            rows = archive["rows"]
        if index % 2:
            ids = blur(ids)
        return torch.tensor(ids), rows[index]


loader = DataLoader(Texts())
"""


def first(tmp_path, lines, *, workers=0, cores=4, fetch_ms=24.0, cpu=1.0) -> list[str]:
    run = SyntheticRun(tmp_path, SOURCE, cores=cores)
    loader = run.loader(run.line("DataLoader("), num_workers=workers)
    on = {run.line(text): ms for text, ms in lines.items()}
    for _ in range(2):
        with run.epoch(loader):
            for _ in range(75):
                run.batch(loader, fetch_ms, 0.5, fetch_lines=on, function="Texts.__getitem__", fetch_cpu=cpu)
                run.train(3, 6, 1)
    return [finding.rule for finding in examine(run.evidence()).findings]


@pytest.mark.parametrize("workers", [0, 1])
def test_tokenizing_goes_before_workers(tmp_path, workers):
    general = "workers-too-few" if workers else "workers-zero"
    assert first(tmp_path, {"self.tokenizer": 22.0}, workers=workers)[:2] == ["tokenize-in-loop", general]


def test_what_is_made_of_the_tokens_is_theirs(tmp_path):
    assert first(tmp_path, {"self.tokenizer": 7.0, "torch.tensor(": 16.0})[:2] == ["tokenize-in-loop", "workers-zero"]


def test_reading_an_archive_again_goes_before_workers(tmp_path):
    found = first(tmp_path, {"np.load(": 4.0, 'archive["rows"]': 18.0})
    assert found[:2] == ["file-reopened", "workers-zero"]


@pytest.mark.parametrize("lines", [{"blur(": 22.0}, {"blur(": 17.0, "self.tokenizer": 6.0}])
def test_workers_stay_first_where_there_is_no_cause_or_a_small_one(tmp_path, lines):
    assert first(tmp_path, lines)[0] == "workers-zero"


def test_a_slow_line_stays_first_where_workers_would_not_help(tmp_path):
    assert first(tmp_path, {"blur(": 22.0}, workers=2, cores=2)[0] == "slow-transform"
