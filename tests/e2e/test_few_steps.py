"""A real run of three steps: what is found is a hint, and is said to be one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from .harness import PROFILE, SCRIPTS, run


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[dict, str]:
    folder = tmp_path_factory.mktemp("few")
    done = run([*PROFILE, "--out", str(folder), str(SCRIPTS / "few_steps.py"), "3"])
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == run([sys.executable, str(SCRIPTS / "few_steps.py"), "3"]).stdout
    return json.loads((Path(folder) / "report.json").read_text()), " ".join(done.stderr.decode().split())


def test_three_steps_give_a_hint(recorded):
    report, said = recorded
    assert (report["steps"]["count"], report["steps"]["steady_count"]) == (3, 2)
    found = next(finding for finding in report["findings"] if finding["rule"] == "external-wait")
    assert (found["confidence"], found["severity"]) == ("low", "medium")
    assert found["doubts"][0] == "the run has only 2 steady steps"
    assert report["verdict"]["confidence"] == "low"
    assert "2 steady steps" in report["verdict"]["headline"] and "take it as a hint" in report["verdict"]["headline"]
    assert "take it as a hint" in said and "confidence low" in said


def test_what_three_steps_cannot_show_is_not_checked(recorded):
    outcomes = recorded[0]["outcomes"]
    assert outcomes["tiny-op-loop"]["status"] == "not-checked"
    assert "window" in outcomes["tiny-op-loop"]["reason"]
