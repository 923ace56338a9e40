"""``slowprobe report``: the report of a recorded run, made again from its run folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from slowprobe.report.document import Document

NO_REDACT = "Keep user and machine names, home folders and what looks like a secret in the report."


@click.command(help="Make the report of the run in folder RUN again; works for a live or killed run, too.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--open", "open_report", is_flag=True, help="Open the report in a browser.")
@click.option("--no-redact", is_flag=True, help=NO_REDACT)
def command(run: Path, open_report: bool, no_redact: bool) -> None:
    """Read, analyse, write."""
    write_report(run, open_report, redact=not no_redact)


def write_report(folder: Path, open_report: bool = False, *, redact: bool = True) -> None:
    """Write report.html, report.json and report.md into the run folder `folder` and the summary to stderr.

    Raises RunFolderError when the folder holds no run that can be read, BadInputError when it cannot be written.
    """
    from slowprobe.report.build import build_document
    from slowprobe.run.reader import load_run

    publish(build_document(load_run(folder)), folder, open_report, redact=redact)


def publish(document: Document, folder: Path, open_report: bool = False, *, redact: bool = True) -> None:
    """Write a document as report.html, report.json and report.md into `folder` and its summary to stderr.

    redact: without names of users and machines, home folders and secrets, in what may be shared; the summary has them.
    Raises BadInputError when the folder cannot be written.
    """
    from slowprobe.errors import BadInputError
    from slowprobe.report import html, json, markdown, text
    from slowprobe.report.redact import redacted

    shared = redacted(document) if redact else document
    page = folder / "report.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(html.render(shared), encoding="utf-8")
        (folder / "report.json").write_text(json.render(shared), encoding="utf-8")
        (folder / "report.md").write_text(markdown.render(shared), encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"cannot write the report to {folder}: {error.strerror or error}.") from None
    print(text.render(document), file=sys.stderr)
    print(f"Report: {page}", file=sys.stderr)
    if open_report:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
