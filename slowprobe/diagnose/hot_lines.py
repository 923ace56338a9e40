"""Sampled lines that belong to a call: its own statement, what stands beside it, the helper around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Where
from slowprobe.diagnose.syntax import has_line
from slowprobe.diagnose.turns import Turn, beside, turn_of
from slowprobe.run.record import Site
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loop_changes import Factor, Scale

BETWEEN_SPANS = ("python", "epoch")  # time in no span of its own
COMPUTING = ("forward", "backward", "optimizer")
MIN_COMPUTING = 30  # samples; a share from fewer is off by a tenth or more


def sampled_lines(run: Evidence) -> list[LineTime]:
    """The user's lines, or none where the stack sampler saw nothing: for rules that can do without."""
    try:
        return list(run.lines)
    except LookupError:
        return []


def making_lines(run: Evidence, in_workers: bool) -> list[LineTime]:
    """The user's lines where batches are made: those of workers, or of the training thread."""
    return list(run.worker_lines) if in_workers else sampled_lines(run)


def stretched(run: Evidence) -> float:
    """`off_cpu`, or 0.0 where it is not known.

    A busy machine stretches every line alike, so only a line that is off the CPU more than this waits for something.
    """
    return off_cpu(run) or 0.0


def off_cpu(run: Evidence) -> float | None:
    """Share of its computing that the training thread was off the CPU: there it waits for nobody but other programs.

    None where too little computing was sampled, or a device may be what it waits for.
    """
    if may_wait_for_device(run):
        return None
    lines = [line for line in sampled_lines(run) if line.scope == "step" and line.bucket in COMPUTING]
    seconds = sum(line.seconds for line in lines)
    if sum(line.samples for line in lines) < MIN_COMPUTING or not seconds:
        return None
    return sum(line.waiting * line.seconds for line in lines) / seconds


def trainer_lines(run: Evidence) -> set[tuple[str, int]]:
    """The user's lines below which a library trains (``trainer.fit(net)``): backward runs there, unnamed in the line.

    Time on such a line belongs to no call in particular, and an edit of it would change more than is meant.
    """
    sites = [facts.where for facts in run.backwards if facts.where is not None]
    found = [site for site in sites if not holds(run, site, ("backward", "grad"))]
    return {(site.file, site.line) for site in found}


def in_trainer(run: Evidence, site: Site | None) -> bool:
    """Whether a library trains below the user's line `site`, so that a call there is the library's."""
    return site is not None and (site.file, site.line) in trainer_lines(run)


def editable(run: Evidence, sites: Sequence[Site | None]) -> list[Site | None]:
    """The sites that may go under a condition on the step: where a trainer owns the loop, only what has a loop, too."""
    if not trainer_lines(run):
        return list(sites)
    return [site for site in sites if not in_trainer(run, site) and turn_of(run.source, site) is not None]


def may_wait_for_device(run: Evidence) -> bool:
    """Whether a line off the CPU, or one that reads a value, may wait for queued work of a device."""
    try:
        return bool(run.settings.get("devices"))
    except LookupError:
        return True


def around_call(
    run: Evidence, lines: Sequence[LineTime], site: Site, words: Sequence[str], *, whole_helper: bool
) -> list[LineTime]:
    """Lines between spans that exist because of the call at `site`.

    They are on the call's own statement; or beside it and hold one of `words`; or, with `whole_helper`, where the call
    is in a function that does no training, anywhere in that function or on the line that calls it.
    """
    turn = turn_of(run.source, site)
    statements = beside(run.source, site)
    trainers = trainer_lines(run)
    own = next((span for span in statements if span[0] <= site.line <= span[1]), (site.line, site.line))

    def belongs(line: LineTime) -> bool:
        if line.file != site.file or line.bucket not in BETWEEN_SPANS or (line.file, line.line) in trainers:
            return False
        if own[0] <= line.line <= own[1]:
            return True
        if whole_helper and turn is not None and turn.called:
            inside_call = has_line(turn.statement, line.line)
            if line.function == site.function or inside_call:
                return True
        near = any(first <= line.line <= last for first, last in statements)
        return near and holds(run, line, words)

    return [line for line in lines if belongs(line)]


def turn_at(run: Evidence, line: LineTime) -> Turn | None:
    """Where the loop that trains comes to a line; by the calls that samples saw where its file has no such loop."""
    own = turn_of(run.source, line.site)
    if own is not None and (own.trains or own.guard is not None):
        return own
    for site in line.callers:
        turn = turn_of(run.source, site) if site.file != line.file else None
        if turn is not None and (turn.trains or turn.guard is not None):
            return replace(turn, called=True)
    return own


def led_to(run: Evidence, lines: Sequence[LineTime]) -> dict[Site, list[LineTime]]:
    """By statement of the loop, the lines between spans that it leads to in each turn, its own among them."""
    trainers = trainer_lines(run)
    found: dict[Site, list[LineTime]] = {}
    for line in lines:
        if line.bucket in BETWEEN_SPANS and (line.file, line.line) not in trainers:
            turn = turn_at(run, line)
            if turn is not None and turn.guard is None:
                found.setdefault(turn.site, []).append(line)
    return found


def holds(run: Evidence, line: LineTime | Site, words: Sequence[str]) -> bool:
    """Whether the statement of a line has one of `words` in it."""
    site = line.site if isinstance(line, LineTime) else line
    first, last = run.source.statement(site)
    return any(word in text for text in run.source.lines(site.file)[first - 1 : last] for word in words)


def shares(seconds: dict[Site, float]) -> list[Where]:
    """The places of a finding by their part of its time, most first."""
    total = sum(seconds.values()) or 1.0
    ordered = sorted(seconds.items(), key=lambda item: (-item[1], item[0].file, item[0].line))
    return [Where(site.file, site.line, site.function, round(part / total, 3)) for site, part in ordered if site.line]


def scale_lines(lines: Sequence[LineTime], factor: Factor, pause: bool = False) -> list[Scale]:
    """The changes that leave `factor` of the time on the lines. pause: each step comes there, and runs no operator."""
    return [Scale(line.bucket, line.scope, line.seconds, factor, pause) for line in lines]
