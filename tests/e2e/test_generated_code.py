"""Code that a library writes into the temporary folder while the script runs is not shown as the user's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.harness import PROFILE, SCRIPTS, environment, run

CALL = "propagate(torch.randn"


@pytest.mark.slow
def test_generated_code_is_the_line_that_calls_it(tmp_path: Path) -> None:
    script = tmp_path / "work" / "train.py"  # in the temporary folder itself, and the user's all the same
    script.parent.mkdir()
    shutil.copy(SCRIPTS / "generated.py", script)
    folder = tmp_path / "run"
    done = run([*PROFILE, "--out", str(folder), str(script)], env=environment(TMPDIR=str(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("library_*.py"))
    report = json.loads((folder / "report.json").read_text())
    call = next(number for number, line in enumerate(script.read_text().splitlines(), 1) if CALL in line)
    places = [place for finding in report["findings"] for place in finding["where"]]
    assert {place["file"] for place in [*places, *report["hotspots"]]} == {str(script)}
    assert call in {place["line"] for place in report["hotspots"]}
