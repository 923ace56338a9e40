"""The command line without a run: help, versions, rules, and how fast it answers."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

import slowprobe
from slowprobe.cli import COMMANDS, group


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import slowprobe",
        "from slowprobe import profile, watch",
        "import slowprobe.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass",
        "import slowprobe.cli as c\ntry: c.main(['profile', '--help'])\nexcept SystemExit: pass",
        "import slowprobe.cli as c\ntry: c.main(['rules'])\nexcept SystemExit: pass",
    ],
)
def test_needs_no_torch(statement: str) -> None:
    heavy = "{'torch', 'numpy', 'plotly', 'rich'}" if "rules" not in statement else "{'torch', 'plotly'}"
    assert python(f"import sys\n{statement}\nprint('loaded:', sorted({heavy} & set(sys.modules)))").endswith(
        "loaded: []\n"
    )


def test_reading_a_run_needs_no_torch() -> None:
    code = (
        "import slowprobe.report.build, slowprobe.report.html, slowprobe.run.reader, sys; print('torch' in sys.modules)"
    )
    assert python(code) == "False\n"


def test_help_lists_every_command() -> None:
    text = CliRunner().invoke(group, ["--help"]).output
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = CliRunner().invoke(group, [name, "--help"])
    assert done.exit_code == 0 and "Usage:" in done.output


def test_version() -> None:
    assert CliRunner().invoke(group, ["--version"]).output == f"slowprobe, version {slowprobe.__version__}\n"


def test_unknown_command() -> None:
    done = CliRunner().invoke(group, ["porfile"])
    assert done.exit_code == 2 and "porfile" in done.output


def test_rules_are_listed_and_explained() -> None:
    listed = CliRunner().invoke(group, ["rules"])
    assert listed.exit_code == 0
    names = [line.split()[0] for line in listed.output.splitlines()]
    assert "workers-zero" in names and names == sorted(names)
    for name in names:
        explained = CliRunner().invoke(group, ["rules", "explain", name])
        assert explained.exit_code == 0 and explained.output.startswith(f"{name}\n")
        assert len(explained.output) > 200


def test_unknown_rule_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "slowprobe", "rules", "explain", "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("slowprobe: no rule 'nonsense'") and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("worker-zero", "workers-zero"), ("optimizer_forloop", "optimizer-forloop"), ("transform", "slow-transform")],
)
def test_an_unknown_rule_names_those_that_look_like_it(asked: str, meant: str) -> None:
    done = CliRunner().invoke(group, ["rules", "explain", asked])
    assert done.exception is not None and getattr(done.exception, "exit_code", None) == 2
    assert f"Did you mean {meant}" in str(done.exception)
