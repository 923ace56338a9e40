"""What a shared report leaves out: who ran it where, and what looks like a secret."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from report.samples import input_bound as slow
from slowprobe.cli import group
from slowprobe.cli.report import publish
from slowprobe.report import html, json
from slowprobe.report.document import Document
from slowprobe.report.redact import MASK, redacted

HUGGING_FACE = "hf_" + "aB3" * 9


def with_command(command: str) -> Document:
    document = slow()
    document.run.command = command
    return document


@pytest.mark.parametrize(
    ("command", "shared"),
    [
        ("python train.py --api-key abcdef123 --lr 0.1", f"python train.py --api-key {MASK} --lr 0.1"),
        ("python train.py --hf_token=abcdef123", f"python train.py --hf_token={MASK}"),
        ("python train.py --password 'two words'", f"python train.py --password {MASK}"),
        (f"python train.py {HUGGING_FACE}", f"python train.py {MASK}"),
        ("python train.py https://me:pass@host.org/x", f"python train.py https://{MASK}@host.org/x"),
        ("python train.py --data /home/jdoe/images", "python train.py --data ~/images"),
        ("python train.py --data /Users/jdoe/images", "python train.py --data ~/images"),
    ],
)
def test_commands(command: str, shared: str) -> None:
    assert redacted(with_command(command)).run.command == shared


@pytest.mark.parametrize(
    "command",
    [
        "python train.py --max-tokens 4096 --tokenizer bert-base-uncased",
        "python train.py --num_tokens=512 --data /home",
        "python train.py --data s3://bucket/path",
    ],
)
def test_options_of_models_and_plain_paths_stay(command: str) -> None:
    """Near misses: tokens of text are no secrets."""
    assert redacted(with_command(command)).run.command == command


def test_the_owner_of_a_home_folder_is_masked_wherever_the_name_stands() -> None:
    document = with_command("python /home/jdoe/train.py")
    document.notes = ["Written by jdoe; jdoes and my-jdoe-x stay.", f'wandb.login(key=1, api_key="{"a1" * 20}")']
    shared = redacted(document)
    assert shared.notes[0] == "Written by user; jdoes and my-jdoe-x stay."
    assert shared.notes[1] == f'wandb.login(key=1, api_key="{MASK}")'


def test_this_machine_and_its_user_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "maryann")
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu-box-7")
    document = slow()
    document.notes = ["maryann on gpu-box-7", "gpu-box-71"]
    assert redacted(document).notes[:2] == ["user on host", "gpu-box-71"]


def test_the_report_says_what_was_masked() -> None:
    document = with_command(f"python /home/jdoe/train.py --token abcdefgh {HUGGING_FACE}")
    said = redacted(document).notes[-1]
    assert said.startswith("Masked in this report: ") and "secrets (2 times)" in said and "--no-redact" in said


def test_a_document_without_any_of_it_stays_as_it_is() -> None:
    once = redacted(slow())
    assert redacted(once) == once


def test_a_masked_document_is_whole() -> None:
    """Every place still has its source lines, and both forms can be written."""
    shared = redacted(slow())
    assert {f"{place.file}:{place.line}" for finding in shared.findings for place in finding.where} & set(
        shared.snippets
    )
    assert json.load(json.render(shared)).verdict == shared.verdict
    assert "<!doctype html>" in html.render(shared)


def test_source_lines_and_rows_of_evidence_are_masked() -> None:
    """They begin with a number: a line's, or a count."""
    document = slow()
    place, finding = next(iter(document.snippets)), document.findings[0]
    document.snippets[place].lines = [(7, f"login({HUGGING_FACE})", True)]
    finding.evidence["files"] = {"columns": ["times", "file"], "rows": [[3, "/home/jdoe/a.png"]]}
    shared = json.render(redacted(document))
    assert f"login({MASK})" in shared and HUGGING_FACE not in shared
    assert "~/a.png" in shared and "jdoe" not in shared


def test_what_is_written_is_masked_unless_asked_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(slow(), tmp_path / "shared")
    publish(slow(), tmp_path / "own", redact=False)
    for name in ("report.html", "report.json", "report.md"):
        assert "/home/ada" not in (tmp_path / "shared" / name).read_text()
        assert "/home/ada" in (tmp_path / "own" / name).read_text()
    assert "/home/ada" in capsys.readouterr().err, "the summary in the terminal is the user's own"


@pytest.mark.parametrize("command", ["profile", "report", "analyze"])
def test_every_command_that_reports_can_keep_it(command: str) -> None:
    assert "--no-redact" in CliRunner().invoke(group, [command, "--help"]).output
