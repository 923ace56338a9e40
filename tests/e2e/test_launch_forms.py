"""Every way a training is started: launchers, threads, child processes, notebooks, one training after another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .harness import SCRIPTS, assert_wall_identity, environment, pair, run


def _report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def test_training_on_another_thread_is_followed_there(tmp_path: Path) -> None:
    both = pair([str(SCRIPTS / "threaded.py")], tmp_path)
    both.assert_same_result()
    report = both.report
    assert report["steps"]["count"] in (59, 60)  # the first batch is asked for before the thread is known
    assert any("'trainer'" in note for note in report["notes"])
    assert {bucket["id"] for bucket in report["time"]["buckets"]} >= {"forward", "backward", "optimizer"}
    assert_wall_identity(report)


def test_two_trainings_and_a_change_of_directory(tmp_path: Path) -> None:
    both = pair([str(SCRIPTS / "twice.py"), "--exit"], tmp_path)
    both.assert_same_result()
    assert both.recorded.returncode == 5
    report = both.report
    (loader,) = report["loaders"]  # two of them, made alike by one line: one row
    assert (loader["role"], loader["batches"], loader["epochs"]) == ("training", 50, 4)
    assert "twice.py" in loader["where"]
    assert report["steps"]["count"] == 50
    assert_wall_identity(report)


@pytest.mark.slow
def test_torchrun_records_each_rank_and_rank_0_reports(tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    out = tmp_path / "run"
    script = str(SCRIPTS / "ranks.py")
    alone = run([*launcher, script])
    done = run([*launcher, "-m", "slowprobe", "profile", "--out", str(out), script])
    assert done.returncode == alone.returncode == 0, done.stderr.decode()
    assert done.stdout == alone.stdout
    assert done.stderr.decode().count("Report: ") == 1
    report = _report(out)
    assert report["run"]["world_size"] == 2
    assert report["steps"]["count"] == 40
    assert_wall_identity(report)
    assert not (out / "rank1" / "report.html").exists()
    again = run([sys.executable, "-m", "slowprobe", "report", str(out / "rank1")])
    assert again.returncode == 0
    other = _report(out / "rank1")
    assert other["steps"]["count"] == 40
    assert other["findings"][0]["rule"] == "external-wait" and "ranks.py" in other["findings"][0]["where"][0]["file"]
    # Rank 0 waits for rank 1 inside its backward; that is waiting, not a slow backward.
    seconds = {bucket["id"]: bucket["seconds"] for bucket in report["time"]["buckets"] if bucket["scope"] == "step"}
    assert seconds["communication"] > 4 * seconds["backward"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_children_that_train_are_named_or_record_themselves(method: str, tmp_path: Path) -> None:
    script = str(SCRIPTS / "spawned.py")
    both = pair([script, str(tmp_path), method], tmp_path / "parent")
    both.assert_same_result()
    assert both.report["steps"] is None
    assert any("spawned.py" in note and "@slowprobe.profile" in note for note in both.report["notes"])
    done = run([sys.executable, script, str(tmp_path), method, "--decorated"])
    assert done.returncode == 0, done.stderr.decode()
    assert _report(tmp_path / "child0")["steps"]["count"] == 12


CELL = """
import torch
model = torch.nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(12):
    optimizer.zero_grad()
    model(torch.ones(4, 8)).sum().backward()
    optimizer.step()
print("trained")
"""


@pytest.mark.slow
def test_a_cell_of_an_interactive_shell(tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'slowprobe')\n"
        f"shell.run_cell_magic('slowprobe', '--out {tmp_path / 'cell'}', {CELL!r})\n"
        "shell.run_cell_magic('slowprobe', '--steps many', 'print(\"not run\")')\n"
    )
    done = run([sys.executable, "-c", code], cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b"trained\n"
    assert b"--steps" in done.stderr
    assert _report(tmp_path / "cell")["steps"]["count"] == 12


@pytest.mark.slow
def test_a_script_that_replaces_its_process(tmp_path: Path) -> None:
    script = tmp_path / "again.py"
    script.write_text(
        "import os, sys\n"
        "if len(sys.argv) == 1:\n"
        "    os.execv(sys.executable, [sys.executable, __file__, 'second'])\n"
        "print('second life')\n"
    )
    both = pair([str(script)], tmp_path / "out")
    both.assert_same_result()
    assert both.report["steps"] is None


def test_an_unknown_option_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "slowprobe", "profile", "--fast", "train.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--fast" in done.stderr and "No such option" in done.stderr
