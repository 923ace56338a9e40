"""What is logged or written at each step, and what is computed only for that: logging's part of the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.hot_lines import around_call, holds, may_wait_for_device, sampled_lines, turn_at
from slowprobe.diagnose.observing import changes_tensors, is_read_by_none_but, only_observes
from slowprobe.diagnose.rules._media import is_media, media_lines
from slowprobe.diagnose.turns import Turn, turn_of
from slowprobe.run.record import Site
from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.hotspots import LineTime

MIN_CALLS_PER_STEP = 0.5  # rarer is an interval somebody has chosen
MIN_SAMPLES = 5  # for a line without a span: about 50 ms of samples
SYNCS = (".item(", ".cpu(", ".tolist(", ".numpy(")  # on a device: work that is waited for, not logging
WRITES = (".write(", ".writelines(", ".writerow(", ".flush(", "fsync(", "json.dump(", ".to_csv(")


@dataclass(frozen=True)
class EveryStepLog:
    """Log calls at each step; the lines of their statements and of plain writes; the lines that compute for them."""

    calls: list[SpanFacts]
    written: list[LineTime]
    computed: list[LineTime]

    @property
    def lines(self) -> list[LineTime]:
        """All sampled lines."""
        return [*self.written, *self.computed]


def every_step_log(run: Evidence) -> EveryStepLog:
    """What logging does in each step of the run."""
    calls = [facts for facts in run.logs if _is_frequent(run, facts) and not is_media(run, facts)]
    own_media = media_lines(run)
    lines = [
        line for line in sampled_lines(run) if (line.scope, line.bucket) == ("step", "python") and line not in own_media
    ]
    syncs = SYNCS if may_wait_for_device(run) else ()
    written = _written(run, lines, calls, syncs)
    sites = [*(facts.where for facts in calls if facts.where is not None), *(line.site for line in written)]
    media = [turn_of(run.source, facts.where) for facts in run.logs if is_media(run, facts)]
    media += [turn_of(run.source, line.site) for line in own_media]
    others = {turn.site for turn in media if turn is not None}  # tracker-media takes all that leads to them
    logging = [turn for site in dict.fromkeys(sites) if (turn := _observer(run, site)) and turn.site not in others]
    return EveryStepLog(calls, written, _computed(run, lines, logging, set(written), syncs))


def _is_frequent(run: Evidence, facts: SpanFacts) -> bool:
    return facts.scopes.get("step", 0.0) > 0 and facts.calls >= MIN_CALLS_PER_STEP * run.steps.count


def _written(run: Evidence, lines: list[LineTime], calls: list[SpanFacts], syncs: Sequence[str]) -> list[LineTime]:
    """Sampled time in the statements of the log calls, and in lines that write to files at each step."""
    of_calls = [
        line
        for facts in calls
        if facts.where is not None
        for line in around_call(run, lines, facts.where, WRITES, whole_helper=False)
        if not holds(run, line, syncs)
    ]
    plain = [
        line for line in lines if line.samples >= MIN_SAMPLES and holds(run, line, WRITES) and _each_step(run, line)
    ]
    return list(dict.fromkeys([*of_calls, *plain]))


def _each_step(run: Evidence, line: LineTime) -> bool:
    """Whether the source says that a line runs at every turn of the loop."""
    turn = turn_at(run, line)
    return turn is not None and turn.guard is None


def _computed(
    run: Evidence, lines: list[LineTime], logging: list[Turn], written: set[LineTime], syncs: Sequence[str]
) -> list[LineTime]:
    """Lines in helpers that only log, and lines whose results nothing but the logging reads.

    A helper that logs may also compute what training needs: then it is not one that only observes.
    """
    found = []
    for line in lines if logging else ():
        if line in written or holds(run, line, syncs):
            continue
        turn = turn_at(run, line)
        if (
            turn is None
            or turn.guard is not None
            or (turn.called and changes_tensors(run.source, line.file, line.line))
        ):
            continue
        same_loop = [each.statement for each in logging if (each.file, _first(each)) == (turn.file, _first(turn))]
        of_the_call = any(statement.lineno == turn.statement.lineno for statement in same_loop)
        if of_the_call or is_read_by_none_but(run.source, turn, same_loop):
            found.append(line)
    return found


def _first(turn: Turn) -> int:
    return turn.loop.lineno if turn.loop is not None else 0


def _observer(run: Evidence, site: Site) -> Turn | None:
    """The statement of the loop that leads to a log call at each step; None where training needs it, too."""
    turn = turn_of(run.source, site)
    if turn is None or turn.guard is not None or not only_observes(run.source, turn):
        return None
    return None if turn.called and changes_tensors(run.source, site.file, site.line) else turn
