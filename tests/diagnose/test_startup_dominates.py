from __future__ import annotations

import pytest
from synthetic import LIBRARY, SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.engine import examine

SOURCE = """\
import torch
import heavy
rows = build()
optimizer = SGD()
for x in loader:
    net(x).backward()
    optimizer.step()
"""
RULE = "startup-dominates"
IMPORT = ("<frozen importlib._bootstrap>", 1, "_find_and_load")
DYNAMO = (f"{LIBRARY}/site-packages/torch/_compile.py", 30, "inner")


def record(tmp_path, *, build_s=0.0, torch_s=0.0, heavy_s=0.0, dynamo_s=0.0, compile_s=0.0, loop_s=60.0, first_ms=0.0):
    run = SyntheticRun(tmp_path, SOURCE, startup_ms=0.0)
    run.spend(torch_s * 1e3, 1, below=[IMPORT])
    run.spend(heavy_s * 1e3, 2, below=[IMPORT])
    run.spend(build_s * 1e3, 3)
    run.spend(dynamo_s * 1e3, 4, below=[DYNAMO, IMPORT])
    loader = run.loader(None)
    with run.epoch(loader):
        for step in range(200):
            run.batch(loader, 1.0)
            if step == 0 and compile_s:
                run.span("compile", 900, compile_s * 1e3)
            run.train(loop_s * 5 - 10 + first_ms * (step == 0), 8.0, 1.0)
    return run.evidence()


def test_slow_names_the_line_that_builds_the_dataset(tmp_path):
    evidence = record(tmp_path, build_s=40.0, torch_s=5.0, dynamo_s=4.0, first_ms=1000.0)
    verdict = ask(RULE, evidence)
    assert verdict.lines == [3]
    parts = dict(verdict.diagnosis.evidence["parts"]["rows"])
    assert parts["the script's own code"] == pytest.approx(40, abs=0.1)
    assert parts["imports"] == pytest.approx(5, abs=0.1)
    assert parts["torch._dynamo, for the first optimizer"] == pytest.approx(4, abs=0.1)
    assert parts["the first steps, beyond a usual one"] == pytest.approx(1, abs=0.1)
    assert verdict.diagnosis.fix.diff.startswith(
        "-rows = build()\n+rows = torch.load(kept, weights_only=False) if kept.exists() else build()"
    )


def test_it_is_a_hint_without_a_saving(tmp_path):
    [finding] = [found for found in examine(record(tmp_path, build_s=40.0)).findings if found.rule == RULE]
    assert (finding.severity, finding.saving.basis, finding.saving.seconds) == ("low", "none", 0.0)
    assert finding.risk.startswith("each start takes 40 s")


@pytest.mark.parametrize(("times", "line"), [({"heavy_s": 35.0}, 2), ({"compile_s": 35.0}, None)])
def test_other_parts_that_can_be_mended(tmp_path, times, line):
    verdict = ask(RULE, record(tmp_path, **times))
    assert verdict.lines == ([line] if line else [])
    assert ("cache" in verdict.diagnosis.fix.text) == (line is None)


@pytest.mark.parametrize(
    "times",
    [
        {"build_s": 5.0, "loop_s": 3.0},  # a short script: most of it is start-up, and nobody minds
        {"build_s": 40.0, "loop_s": 400.0},  # a long training
        {"torch_s": 35.0},  # nothing that an edit mends
        {"dynamo_s": 35.0},
        {"first_ms": 40_000.0},
        {},
    ],
)
def test_near_misses_pass(tmp_path, times):
    assert ask(RULE, record(tmp_path, **times)).status == "passed"


def test_without_a_step_it_does_not_apply(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    run.spend(50_000.0, 3)
    assert ask(RULE, run.evidence()).status == "not-applicable"
