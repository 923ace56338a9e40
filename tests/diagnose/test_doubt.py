"""What makes a finding less sure: too few steps, a busy machine, a range that is stated."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import SyntheticRun

from slowprobe.diagnose.doubt import Doubt, confidence, doubts, doubts_of, lowered, usable_steps, widened
from slowprobe.diagnose.engine import Examination, examine
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Finding, Fix, Where
from slowprobe.diagnose.rule import Diagnosis
from slowprobe.report.headline import notes, verdict
from slowprobe.timeline.loop_changes import Factor, Reload, Scale
from slowprobe.timeline.neighbours import Neighbours
from slowprobe.timeline.replay import Outlook

ALONE = Neighbours(busy=1.0, others=0.1)
CROWDED = Neighbours(busy=1.0, others=0.3)
OVERRUN = Neighbours(busy=1.0, others=0.8)
IDLE_CORES = Neighbours(busy=0.5, others=0.4)


def record(
    folder: Path, steps: int, *, sleep_ms: float = 50.0, compiles: bool = False, cpu: float = 1.0, threads: int = 1
) -> Evidence:
    """A loop whose steps take 13 ms and sleep besides."""
    run = SyntheticRun(folder, "for x in data:\n    net(x).backward()\n    time.sleep(s)\n")
    run.settings(num_threads=threads)
    for _ in range(steps):
        if compiles:
            run.call("compile", "dynamo", 5.0, 2)
        run.forward(4.0, 2)
        with run.inside("backward", 0):
            run.spend(8.0, 2, cpu_ms=8.0 * cpu)
        run.optimizer(1.0)
        if sleep_ms:
            run.sleep(sleep_ms, 3)
    return run.evidence()


def beside(evidence: Evidence, who: Neighbours | None) -> Evidence:
    evidence.__dict__["neighbours"] = who
    return evidence


def sleeping(examined: Examination) -> Finding:
    return next(finding for finding in examined.findings if finding.rule == "external-wait")


@pytest.mark.parametrize(
    ("steps", "sure", "severity"),
    [(3, "low", "medium"), (8, "low", "medium"), (9, "medium", "high"), (12, "medium", "high"), (13, "high", "high")],
)
def test_few_steps_lower_confidence_and_severity(tmp_path, steps, sure, severity):
    """Three are warm-up: 5 are left of 8, 6 of 9, 9 of 12, 10 of 13."""
    evidence = record(tmp_path, steps)
    examined = examine(evidence)
    found = sleeping(examined)
    assert (found.confidence, found.severity) == (sure, severity)
    assert verdict(evidence, examined).confidence == sure
    assert bool(found.doubts) == (sure != "high") == any("steady step" in note for note in notes(evidence))


def test_the_verdict_says_so_in_words(tmp_path):
    said = {}
    for steps in (3, 10, 40):
        evidence = record(tmp_path / str(steps), steps)
        said[steps] = verdict(evidence, examine(evidence)).headline
    assert said[3].endswith("The run has only 2 steady steps: take it as a hint.")
    assert said[10].endswith("The run has only 7 steady steps: the figures are rough.")
    assert said[40].endswith("as fast.")


def test_nothing_found_in_a_few_steps_is_not_sure(tmp_path):
    evidence = record(tmp_path / "few", 7, sleep_ms=0.0)
    answer = verdict(evidence, examine(evidence))
    assert (answer.bottleneck, answer.confidence) == ("none", "low")
    assert "could not be made" in answer.headline or "not sure" in answer.headline


def test_steps_that_all_compile_are_not_too_few(tmp_path):
    """Near miss: none is steady, but that is what the run is like."""
    evidence = record(tmp_path, 40, compiles=True)
    assert evidence.steps.steady_count < 6 and usable_steps(evidence) >= 30
    assert doubts(evidence) == []


@pytest.mark.parametrize(
    ("who", "sure"), [(None, "high"), (ALONE, "high"), (CROWDED, "medium"), (OVERRUN, "low"), (IDLE_CORES, "high")]
)
def test_neighbours_lower_confidence_and_widen_the_range(tmp_path, who, sure):
    quiet = sleeping(examine(beside(record(tmp_path / "quiet", 30, threads=4), None)))
    evidence = beside(record(tmp_path / "run", 30, threads=4), who)
    examined = examine(evidence)
    found = sleeping(examined)
    assert found.confidence == sure
    assert (found.severity, found.saving.seconds) == (quiet.severity, quiet.saving.seconds)
    assert found.saving.speedup.expected == quiet.saving.speedup.expected
    assert (found.saving.speedup.high > quiet.saving.speedup.high) == (sure != "high")
    assert ("of a machine without a free core" in verdict(evidence, examined).headline) == (sure != "high")


def test_a_thread_that_kept_its_core_was_in_nobodys_way(tmp_path):
    """Near miss: the others' cores were not the training thread's, or it would have been off the CPU."""
    assert doubts(beside(record(tmp_path / "kept", 60), OVERRUN)) == []
    lost = record(tmp_path / "lost", 60, cpu=0.25)
    assert confidence(doubts(beside(lost, OVERRUN))) in ("medium", "low")


def test_several_threads_wait_for_each_other_on_the_cpu(tmp_path):
    assert confidence(doubts(beside(record(tmp_path, 60, threads=4), OVERRUN))) == "low"


def test_off_the_cpu_where_the_machine_was_not_read(tmp_path):
    about = doubts(record(tmp_path, 60, cpu=0.2))
    assert confidence(about) == "medium" and "off the CPU" in about[0].because


def test_a_sleep_is_not_stretched(tmp_path):
    about = [Doubt("medium", "", 0.5)]
    outlook = Outlook(10.0, 5.0, 5.0, 5.0)
    gone = Factor(0, 0, 0)
    assert widened(outlook, about, [Scale("sleep", "step", 5.0, gone)]).speedup[0] == pytest.approx(2.0)
    assert widened(outlook, about, [Scale("log", "step", 5.0, gone)]).speedup[0] == pytest.approx(1.5)


def test_the_wider_range_is_the_arithmetic():
    """Of 10 s 4 go. Half of a time may be the neighbours': 2 of 8 at worst, 4 of 7 at best."""
    low, expected, high = widened(Outlook(10.0, 6.0, 6.0, 6.0), [Doubt("medium", "", 0.5)]).speedup
    assert (low, expected, high) == pytest.approx((8 / 6, 10 / 6, 7 / 3))
    same = Outlook(10.0, 5.0, 6.0, 7.0)
    assert widened(same, []) == same == widened(same, [Doubt("low", "few steps", sample=True)])
    nothing = widened(Outlook(10.0, 10.0, 10.0, 10.0), [Doubt("low", "", 0.99)])
    assert nothing.speedup == pytest.approx((1.0, 1.0, 1.0))
    assert widened(Outlook(0.0, 0.0, 0.0, 0.0), [Doubt("low", "", 0.5)]).speedup == (1.0, 1.0, 1.0)


def test_only_too_small_a_sample_lowers_the_severity():
    assert lowered("high", [Doubt("low", "", sample=True)]) == "medium"
    assert lowered("low", [Doubt("low", "", sample=True)]) == "low"
    assert lowered("high", [Doubt("low", "", 0.8)]) == lowered("high", [Doubt("medium", "", sample=True)]) == "high"


def _diagnosis(*changes, basis="replay") -> Diagnosis:
    return Diagnosis("seen", [Where("train.py", 1, "main")], Fix("mend it"), changes, basis=basis)


def test_a_stated_range_is_less_than_a_replay(tmp_path):
    evidence = record(tmp_path, 30)
    assert confidence(doubts_of(_diagnosis(basis="stated range"), evidence)) == "medium"
    assert doubts_of(_diagnosis(), evidence) == []


def test_workers_need_cores_that_others_hold(tmp_path):
    run = SyntheticRun(tmp_path, "loader\n")
    loader = run.loader(1, num_workers=1)
    with run.epoch(loader):
        for _ in range(30):
            run.batch(loader, 20.0)
            run.train()
    evidence = run.evidence()
    more, fewer = _diagnosis(Reload(loader.subject, 3)), _diagnosis(Reload(loader.subject, 0))
    assert doubts_of(more, evidence) == []
    beside(evidence, IDLE_CORES)
    assert confidence(doubts_of(more, evidence)) == "medium"
    assert doubts_of(fewer, evidence) == doubts_of(_diagnosis(Reload(loader.subject)), evidence) == []


def test_a_run_without_steps_has_no_doubts(tmp_path):
    assert doubts(SyntheticRun(tmp_path).evidence()) == []
