"""The report as a short Markdown text for a pull request or a chat."""

from __future__ import annotations

import re
from collections.abc import Iterator

from slowprobe.diagnose.finding import Finding
from slowprobe.report.device_words import summary as device_summary
from slowprobe.report.document import Document
from slowprobe.report.partition import loop_split
from slowprobe.report.pipeline_words import summary
from slowprobe.report.quantities import (
    all_changes,
    doubts,
    factor,
    measured,
    milliseconds,
    percent,
    seconds,
    span,
    worth_saying,
)
from slowprobe.report.reach_words import reach_lines
from slowprobe.report.untrusted import clean, cleaned

TOP_FINDINGS = 5
TOP_BUCKETS = 8
_DIFF_LINES = 40
# Everything that could start markup, a link, a mention or a table cell; a name in a run must stay text.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#|~!@&$])")


def render(document: Document) -> str:
    """`document` as Markdown: verdict, findings with their diffs, the loop's time, what slowprobe cost."""
    return "\n".join(_lines(cleaned(document))).rstrip() + "\n"


def _lines(document: Document) -> Iterator[str]:
    verdict = document.verdict
    yield f"## slowprobe: {_escaped(document.run.script, 120)}"
    yield ""
    yield f"**{_escaped(verdict.headline, 400)}**"
    if worth_saying(verdict.speedup) and document.findings:
        yield ""
        yield (
            f"With {all_changes(len(document.findings))} the loop is predicted to run "
            f"**{factor(verdict.speedup.expected)}** as fast ({span(verdict.speedup)})."
        )
    for advice in document.advice[:8]:
        yield f"- {_escaped(advice, 400)}"
    for number, finding in enumerate(document.findings[:TOP_FINDINGS], 1):
        yield ""
        yield from _finding(number, finding)
    left = len(document.findings) - TOP_FINDINGS
    if left > 0:
        yield ""
        yield f"{left} more in the report."
    if document.time.loop_s > 0:
        yield ""
        yield from _loop(document)
    for line in (*summary(document), *device_summary(document.device), *reach_lines(document)):
        yield ""
        yield _escaped(line, 900)
    yield ""
    yield f"<sub>{_escaped(document.overhead.text, 400)}</sub>"


def _finding(number: int, finding: Finding) -> Iterator[str]:
    yield f"### {number}. {_escaped(finding.title, 200)} ({finding.severity})"
    yield ""
    yield _escaped(finding.summary, 800)
    yield ""
    for place in finding.where[:3]:
        yield f"- {_code(f'{place.file}:{place.line}')} in {_code(place.function)}"
    proof = measured(finding)
    saving = finding.saving
    if proof is not None:
        yield f"- measured **{factor(proof.expected)}** ({span(proof)}), predicted {factor(saving.speedup.expected)}"
    elif saving.basis == "none":
        yield f"- {_escaped(finding.risk, 200)}"
    elif worth_saying(saving.speedup):
        gain = f"**{factor(saving.speedup.expected)}** ({span(saving.speedup)})"
        yield f"- predicted {gain}, saves {seconds(saving.seconds)} of this run"
    else:
        yield f"- saves about {seconds(saving.seconds)} of this run"
    if proof is None and finding.confidence != "high":
        yield f"- confidence {finding.confidence}: {_escaped(doubts(finding), 400)}"
    yield ""
    yield _escaped(finding.fix.text, 800)
    if finding.fix.diff.strip():
        yield ""
        yield from _fenced(finding.fix.diff)


def _loop(document: Document) -> Iterator[str]:
    rate = f", median {milliseconds(document.steps.median_ms)} a step" if document.steps else ""
    yield f"| Loop: {seconds(document.time.loop_s)}{rate} | time | share |"
    yield "| --- | ---: | ---: |"
    for bucket in loop_split(document, TOP_BUCKETS):
        share = bucket.seconds / document.time.loop_s
        yield f"| {_escaped(bucket.label, 80)} | {seconds(bucket.seconds)} | {percent(share)} |"


def _fenced(diff: str) -> Iterator[str]:
    lines = [clean(line, 300) for line in diff.strip("\n").split("\n")]
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}diff"
    yield from lines[:_DIFF_LINES]
    if len(lines) > _DIFF_LINES:
        yield f"… {len(lines) - _DIFF_LINES} more lines"
    yield fence


def _escaped(text: str, limit: int) -> str:
    return _MARKUP.sub(r"\\\1", " ".join(clean(text, limit).split()))


def _code(text: str) -> str:
    text = " ".join(clean(text, 300).split())
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"
