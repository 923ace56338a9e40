"""Which files are the user's: libraries, and the temporary folder into which they write modules of their own making."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import pytest

from slowprobe.capture import sites
from slowprobe.capture.sites import PACKAGE, Sites, library_prefixes, user_folders
from slowprobe.run.user_code import is_users


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only temporary folder there is."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(sites, "_temporary_folders", lambda: [str(folder)])
    return folder


def decide(file: Path | str, script: Path | str) -> bool:
    """What the timeline says, from what the manifest holds."""
    return is_users(str(file), library_prefixes(), user_folders(str(script)))


def test_code_made_at_run_time_is_a_librarys(temporary: Path, tmp_path: Path) -> None:
    made = temporary / "torch_geometric.nn.conv_x1y2.py"
    assert not Sites().is_user_file(str(made))
    assert not decide(made, tmp_path / "train.py")
    assert Sites().is_user_file(str(tmp_path / "train.py"))
    assert decide(tmp_path / "train.py", tmp_path / "train.py")


def test_a_script_in_the_temporary_folder_is_the_users(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = temporary / "work" / "train.py"
    script.parent.mkdir()
    script.touch()
    made = temporary / "made.py"
    assert decide(script, script) and decide(script.parent / "models" / "net.py", script)
    assert not decide(made, script)
    known = Sites()  # made before the script's folder is put on sys.path
    monkeypatch.syspath_prepend(str(script.parent))
    assert known.is_user_file(str(script.parent / "models" / "net.py"))
    assert not known.is_user_file(str(made))


def test_what_is_on_the_path_is_the_users_and_what_is_installed_there_is_not(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, installed = temporary / "repo", temporary / "repo" / ".venv" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(checkout), str(installed), *sys.path])
    script = tmp_path / "train.py"
    script.touch()
    for known in (Sites().is_user_file, lambda file: decide(file, script)):
        assert known(str(checkout / "net.py"))
        assert not known(str(installed / "torch" / "nn.py"))
        assert not known(f"{PACKAGE}/api.py")
        assert not known(str(Path(sysconfig.get_path("stdlib")) / "threading.py"))


def test_a_module_runs_in_the_working_directory(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(temporary)
    assert str(temporary) in user_folders("package.train")


def test_a_notebooks_cells_are_the_users(temporary: Path) -> None:
    cell = temporary / f"ipykernel_{os.getpid()}" / "123.py"
    assert Sites().is_user_file(str(cell))
    assert not Sites().is_user_file(str(temporary / "ipykernel_0" / "123.py"))


def test_asking_does_not_settle_where_tempfile_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    library_prefixes()
    user_folders("train.py")
    import tempfile

    assert tempfile.tempdir is None
