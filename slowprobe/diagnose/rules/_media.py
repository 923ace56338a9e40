"""Tells the tracker calls that send images or distributions from those that send numbers, by span or by their name."""

from __future__ import annotations

import ast
import re

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.hot_lines import BETWEEN_SPANS, holds, sampled_lines
from slowprobe.diagnose.turns import turn_of
from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.hotspots import LineTime

_MEDIA = tuple(f"SummaryWriter.add_{what}" for what in ("histogram", "image", "images", "figure", "video", "audio"))
_WRAPPED = ("Image(", "Histogram(", "Video(", "Audio(", "Table(", "Object3D(", "Molecule(", "Html(", "Plotly(")


def is_media(run: Evidence, facts: SpanFacts) -> bool:
    """Whether a logging call sends media: by its name, or by what is made in its statement (``wandb.Image(…)``)."""
    if facts.name == "wandb.log":
        return facts.where is not None and holds(run, facts.where, _WRAPPED)
    return facts.name in _MEDIA


_NAMES = re.compile(r"\b(?:add|log)_(?:histogram|image|figure|video|audio)(?:s|_3d|_raw|_with_boxes)?\b")


def media_lines(run: Evidence) -> dict[LineTime, float]:
    """Lines of trackers without spans (the user's own, or another library's), and in how many steps they run.

    They are in a function named like a tracker's, ``add_histogram`` or ``log_image``, or call one; and at a turn of the
    training loop, each or every so many.
    """
    known = {(facts.where.file, facts.where.line) for facts in run.logs if is_media(run, facts) and facts.where}
    found = {}
    for line in sampled_lines(run):
        if line.bucket not in BETWEEN_SPANS or line.scope not in ("step", "off_step") or not media_name(run, line):
            continue
        first, last = run.source.statement(line.site)
        if any((line.file, number) in known for number in range(first, last + 1)):
            continue
        turn = turn_of(run.source, line.site)
        interval = 1 if turn is None or turn.guard is None else _interval(turn.guard)
        if turn is not None and interval:
            found[line] = run.steps.count / interval
    return found


def media_name(run: Evidence, line: LineTime) -> str:
    """``add_histogram``, where a line is in a function of such a name or calls one; else empty."""
    first, last = run.source.statement(line.site)
    text = " ".join(part.partition("#")[0] for part in run.source.lines(line.file)[first - 1 : last])
    found = _NAMES.fullmatch(line.function.rpartition(".")[2]) or next(
        (name for name in _NAMES.finditer(text) if text[name.end() : name.end() + 1] == "("), None
    )
    return found[0] if found else ""


def _interval(guard: ast.If) -> int:
    """The number of ``if step % 100 == 0``; 0 where it is no number in the source."""
    for node in ast.walk(guard.test):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.right, ast.Constant):
            return node.right.value if isinstance(node.right.value, int) else 0
    return 0
