"""``slowprobe report``: the report of a recorded run, made again from its run folder."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(help="Make the report of the run in folder RUN again; works for a live or killed run, too.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--open", "open_report", is_flag=True, help="Open the report in a browser.")
def command(run: Path, open_report: bool) -> None:
    """Read, analyse, write."""
    write_report(run, open_report)


def write_report(folder: Path, open_report: bool = False) -> None:
    """Write report.html and report.json into `folder` and the summary to stderr."""
