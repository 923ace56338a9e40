"""``slowprobe analyze``: the report from torch.profiler traces that exist already."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slowprobe.cli.report import NO_REDACT, publish

if TYPE_CHECKING:
    from slowprobe.cli.progress import Progress
    from slowprobe.report.document import Document
    from slowprobe.timeline.ranks.facts import Ranks
    from slowprobe.timeline.ranks.find import Recording

_SHOWN = 5  # other recordings that a note lists


@click.command(
    help="Report from the torch.profiler trace TRACE, or from those in a folder: all ranks of one recording together."
)
@click.argument("trace", type=click.Path(path_type=Path), metavar="TRACE|DIR")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the report [default: reports/<name>-<time>].")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes that read traces [default: cores].")
@click.option("--open", "open_report", is_flag=True, help="Open the report in a browser.")
@click.option("--no-redact", is_flag=True, help=NO_REDACT)
def command(trace: Path, out: Path | None, jobs: int | None, open_report: bool, no_redact: bool) -> None:
    """Find, read, compare, report."""
    from slowprobe.cli.progress import Progress
    from slowprobe.run.folder import default_folder

    with Progress(stages=3) as progress:
        recording, others = _find(trace)
        name = _name(trace, recording)
        document = _document(recording, name, _command(trace), [_others(others)] if others else [], jobs, progress)
    publish(document, out or default_folder(name.replace(".", "-")), open_report, redact=not no_redact)


def _find(trace: Path) -> tuple[Recording, list[Recording]]:
    """What is to be analysed, and what else is there. Raises BadInputError when there is nothing."""
    from slowprobe.errors import BadInputError
    from slowprobe.timeline.ranks.find import ENDINGS, Recording, find_recordings

    if not trace.exists():
        raise BadInputError(f"cannot find {str(trace)!r}: give a trace that torch.profiler wrote, or a folder of them.")
    if not trace.is_dir():
        return Recording(trace.parent, trace.name, (trace,)), []
    recordings = find_recordings(trace)
    if not recordings:
        looked = " or ".join(f"*{ending}" for ending in ENDINGS)
        raise BadInputError(f"no traces in {str(trace)!r}: no {looked} below it is one that torch.profiler writes.")
    return recordings[0], recordings[1:]


def _document(
    recording: Recording, name: str, made_by: str, remarks: list[str], jobs: int | None, progress: Progress
) -> Document:
    from slowprobe.diagnose.trace_evidence import TraceEvidence
    from slowprobe.report.trace_build import build_trace_document
    from slowprobe.timeline.ranks.load import load_ranks
    from slowprobe.trace.parts import cores
    from slowprobe.trace.reader import read_trace

    ranks: Ranks | None = None
    shown = recording.paths[0]
    if len(recording.paths) > 1:
        progress.more(len(recording.paths))
        progress.stage("Reading ranks")
        ranks = load_ranks(recording.paths, jobs, done=lambda path: progress.done())
        shown = _shown(ranks, shown)
    progress.stage(f"Reading {shown.name}")
    trace = read_trace(shown, progress.part, jobs or cores())
    progress.done()
    progress.stage("Working out the timeline")
    evidence = TraceEvidence(trace, ranks)
    _ = evidence.facts
    progress.done()
    progress.stage("Looking for causes")
    return build_trace_document(evidence, name, made_by, remarks)


def _shown(ranks: Ranks, default: Path) -> Path:
    """The rank whose device the report shows: the straggler where there is one, else the first."""
    if not ranks.rows:
        return default
    return next((row.path for row in ranks.rows if row.rank == ranks.straggler.rank), ranks.rows[0].path)


def _name(trace: Path, recording: Recording) -> str:
    from slowprobe.timeline.ranks.identity import stem_of

    if not trace.is_dir():
        return stem_of(trace.name)
    return recording.folder.resolve().name if len(recording.paths) > 1 else stem_of(recording.name)


def _command(trace: Path) -> str:
    return f"slowprobe analyze {shlex.quote(str(trace))}"


def _others(recordings: list[Recording]) -> str:
    shown = [str(r.folder / r.name) for r in recordings[:_SHOWN]]
    more = f" and {len(recordings) - _SHOWN} more" if len(recordings) > _SHOWN else ""
    what = "another recording" if len(recordings) == 1 else f"{len(recordings)} other recordings"
    return f"The folder holds {what}, not in this report: {', '.join(shown)}{more}."
