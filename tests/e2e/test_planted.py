"""Some planted causes, through the real command line: the cause is the first finding, at its line."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
LIMIT_S = 120.0


@pytest.fixture(scope="module")
def runs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("planted_runs", BENCHMARKS / "planted_runs.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["optimizer_forloop", "debug_mode_on", "external_wait"])
def test_the_cause_and_its_line(runs: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rule, lines = runs.planted_lines(BENCHMARKS / "planted" / name)
    outcome = runs.profiled(BENCHMARKS / "planted" / name / "slow.py", LIMIT_S)
    assert "failure" not in outcome, outcome
    assert outcome["errors"] == []
    top = outcome["findings"][0]
    assert top["rule"] == rule
    assert tuple(top["place"]) in lines


@pytest.mark.parametrize("planted", ["planted", "unseen", "blind"])
def test_each_triple_is_whole_and_marked(runs: ModuleType, planted: str) -> None:
    folders = [path for path in (BENCHMARKS / planted).iterdir() if path.is_dir() and path.name != runs.HEALTHY]
    assert folders
    for folder in folders:
        scripts = [folder / f"{kind}.py" for kind in runs.KINDS]
        assert all(script.exists() for script in scripts), folder.name
        rule, lines = runs.planted_lines(folder)
        assert not {name for name, _ in lines} & {"fixed.py", "near_miss.py"}, folder.name
        assert (BENCHMARKS.parent / "slowprobe/diagnose/rules" / f"{rule.replace('-', '_')}.py").exists(), rule
        assert all("loop_seconds=" in script.read_text() for script in scripts), folder.name


def test_triples_are_found_in_the_folder_that_is_asked_for(
    runs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    diagnosis = importlib.import_module("diagnosis")
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "slow.py").touch()
    assert diagnosis.triples([], tmp_path) == [tmp_path / "one", tmp_path / "other"]
    assert diagnosis.triples(["other"], tmp_path) == [tmp_path / "other"]
    assert {folder.parent.name for folder in diagnosis.triples([])} == {"planted"}
    with pytest.raises(SystemExit, match="third"):
        diagnosis.triples(["third"], tmp_path)


def test_what_is_known_is_not_run_again(runs: ModuleType, tmp_path: Path) -> None:
    script, file = BENCHMARKS / "planted" / "optimizer_forloop" / "slow.py", tmp_path / "results.jsonl"
    assert runs.Results(file).once("bare", script, lambda: {"seconds": 1.0}) == {"seconds": 1.0}
    assert runs.Results(file).once("bare", script, lambda: {"seconds": 2.0}) == {"seconds": 1.0}
    assert runs.Results(file).once("other", script, lambda: {"seconds": 3.0}) == {"seconds": 3.0}


def test_a_script_that_hangs_is_reported(runs: ModuleType, tmp_path: Path) -> None:
    script = tmp_path / "hangs.py"
    script.write_text("import time; time.sleep(60)")
    assert runs.bare(script, 1.0) == {"failure": "no end after 1 s"}
    script.write_text("raise SystemExit(3)")
    assert runs.bare(script, 10.0)["failure"].startswith("exit status 3")
