"""Checkpoints inside the loop, and the sampled lines that exist because of them."""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.hot_lines import around_call, sampled_lines
from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.hotspots import LineTime

AROUND = ("deepcopy(", "state_dict(", ".cpu(", "os.replace(", "os.rename(", ".rename(", "fsync(", ".flush(", "shutil.")


def saves_in_loop(run: Evidence) -> list[SpanFacts]:
    """The save calls inside the loop."""
    return [facts for facts in run.saves if seconds_of(facts) > 0]


def seconds_of(facts: SpanFacts) -> float:
    """Inside the loop, and not a part of an evaluation."""
    return max(0.0, facts.loop_s - facts.evaluation_s)


def lines_of_saves(run: Evidence) -> list[LineTime]:
    """What prepares and finishes checkpoints: the helper that saves, and statements beside the save call."""
    lines = sampled_lines(run)
    found = [
        line
        for facts in saves_in_loop(run)
        if facts.where is not None
        for line in around_call(run, lines, facts.where, AROUND, whole_helper=True)
    ]
    return list(dict.fromkeys(found))
