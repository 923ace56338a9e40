"""Jupyter: ``%load_ext slowprobe``, then ``%%slowprobe`` on a cell; reports appear below the cell."""

from __future__ import annotations

import argparse
import html
import shlex
import sys
from pathlib import Path
from typing import Any

HEIGHT_PX = 720


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = _shell()
    return shell is not None and getattr(shell, "kernel", None) is not None


def _shell() -> Any:
    ipython = sys.modules.get("IPython")  # a notebook has imported it; nobody else need
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def show(folder: Path, summary: str) -> None:
    """Print the summary and put the report below the cell: a frame of its own, with all it needs inside."""
    from IPython.display import HTML, display  # type: ignore[import-not-found,unused-ignore]

    print(summary, file=sys.stderr)
    page = folder / "report.html"
    if page.is_file():
        display(HTML(frame(page.read_text(encoding="utf-8"))))


def frame(report: str) -> str:
    """The report as part of another page: its scripts run and reach nothing outside. It scrolls or is drawn larger."""
    style = f"width:100%;height:{HEIGHT_PX}px;border:0;resize:vertical"
    report = report.replace("<head>", '<head><base href="about:srcdoc">', 1)  # else #links open the notebook in here
    return f'<div><iframe srcdoc="{html.escape(report)}" style="{style}" sandbox="allow-scripts"></iframe></div>'


def load(shell: Any) -> None:
    """Register the magic with an IPython shell."""

    def slowprobe(line: str, cell: str) -> None:
        """Run the cell recorded: ``%%slowprobe [--out DIR] [--steps N] [--no-trace]``."""
        from slowprobe.api import Profiler

        options = _options(line)
        if options is None:
            return
        with Profiler(options.out, options.steps, not options.no_trace, name="cell"):
            result = shell.run_cell(cell)
        del result  # run_cell has shown a traceback already

    shell.register_magic_function(slowprobe, magic_kind="cell")


def _options(line: str) -> argparse.Namespace | None:
    parser = argparse.ArgumentParser(prog="%%slowprobe", add_help=False)
    parser.add_argument("--out")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--no-trace", action="store_true")
    try:
        return parser.parse_args(shlex.split(line))
    except SystemExit:
        return None  # argparse has said what is wrong
