"""The report as a few lines for a terminal: the verdict, the top findings, where the loop's time went, the cost."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from slowprobe.diagnose.finding import Finding
from slowprobe.report.device_words import summary as device_summary
from slowprobe.report.document import Document
from slowprobe.report.page import healthy
from slowprobe.report.partition import loop_split
from slowprobe.report.pipeline_words import summary
from slowprobe.report.quantities import all_changes, doubts, factor, measured, percent, seconds, span, worth_saying
from slowprobe.report.reach_words import reach_lines
from slowprobe.report.untrusted import clean, cleaned

WIDTH = 88
TOP_FINDINGS = 3
TOP_BUCKETS = 8
TOP_NOTES = 2
_BAR = 24
_STYLES = {"bold": "1", "dim": "2", "high": "1;31", "medium": "1;33", "low": "1;36", "good": "1;32"}


def render(document: Document, width: int = WIDTH, colour: bool = False) -> str:
    """The summary of `document`, at most `width` columns wide; `colour` adds ANSI codes."""
    page = _Page(max(40, width), colour)
    return "\n".join(page.lines(cleaned(document))) + "\n"


class _Page:
    """How wide the terminal is and whether it shows colours."""

    def __init__(self, width: int, colour: bool) -> None:
        self.width = width
        self.colour = colour

    def lines(self, document: Document) -> Iterator[str]:
        yield from self.verdict(document)
        for number, finding in enumerate(document.findings[:TOP_FINDINGS], 1):
            yield ""
            yield from self.finding(number, finding)
        left = len(document.findings) - TOP_FINDINGS
        if left > 0:
            yield ""
            yield self.style("dim", f"  and {left} more in the report")
        if document.findings:
            yield ""
            more = f"More on a cause: slowprobe rules explain {clean(document.findings[0].rule, 60)}"
            yield from self.wrapped(more, "  ", "  ", style="dim")
        for advice in document.advice[:5]:
            yield from self.wrapped(clean(advice, 400), "  - ", "    ")
        if document.time.loop_s > 0:
            yield ""
            yield from self.loop(document)
        for line in (*summary(document), *device_summary(document.device), *reach_lines(document)):
            yield ""
            yield from self.wrapped(clean(line, 900))
        for note in document.notes[:TOP_NOTES]:
            yield ""
            yield from self.wrapped(f"Note: {clean(note, 400)}")
        yield ""
        yield from self.wrapped(clean(document.overhead.text, 300))

    def verdict(self, document: Document) -> Iterator[str]:
        style = "good" if healthy(document) else "bold"
        yield from self.wrapped(clean(document.verdict.headline, 400), style=style)
        speedup = document.verdict.speedup
        if worth_saying(speedup) and document.findings:
            yield from self.wrapped(
                f"With {all_changes(len(document.findings))} the loop is predicted to run "
                f"{factor(speedup.expected)} as fast ({span(speedup)})."
            )

    def finding(self, number: int, finding: Finding) -> Iterator[str]:
        label = f"{finding.severity.upper():<6}"
        title = textwrap.shorten(clean(finding.title, 200), self.width - 14, placeholder="…") or "…"
        yield f"  {number}. {self.style(finding.severity, label)} {self.style('bold', title)}"
        indent = " " * 5
        for place in finding.where[:1]:
            more = f" and {len(finding.where) - 1} more" if len(finding.where) > 1 else ""
            yield f"{indent}{clean(place.file, 300)}:{place.line} in {clean(place.function, 80)}{more}"
        yield from self.wrapped(clean(finding.fix.text, 400), indent, indent)
        yield from self.wrapped(_gain(finding), indent, indent)

    def loop(self, document: Document) -> Iterator[str]:
        loop_s = document.time.loop_s
        count = document.steps.count if document.steps else 0
        steps = f", {count:,} step{'s' if count != 1 else ''}" if count else ""
        yield from self.wrapped(f"Where the loop's {seconds(loop_s)} went{steps}:")
        rows = loop_split(document, TOP_BUCKETS)
        bar_width = _BAR if self.width >= 76 else max(0, self.width - 48)
        name_width = min(max((len(bucket.label) for bucket in rows), default=0), self.width - bar_width - 24)
        for bucket in rows:
            share = bucket.seconds / loop_s
            name = bucket.label if len(bucket.label) <= name_width else bucket.label[: name_width - 1] + "…"
            bar = _bar(share, bar_width)
            yield f"  {name:<{name_width}}  {bar} {percent(share):>7}  {seconds(bucket.seconds):>9}"

    def wrapped(self, text: str, first: str = "", rest: str = "", style: str = "") -> Iterator[str]:
        for line in textwrap.wrap(text, self.width, initial_indent=first, subsequent_indent=rest):
            yield self.style(style, line)

    def style(self, name: str, text: str) -> str:
        return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if self.colour and name else text


def _gain(finding: Finding) -> str:
    proof = measured(finding)
    if proof is not None:
        return f"measured {factor(proof.expected)} ({span(proof)}), predicted {factor(finding.saving.speedup.expected)}"
    saving = finding.saving
    if saving.basis == "none":
        return finding.risk
    sure = "" if finding.confidence == "high" else f"; confidence {finding.confidence}: {clean(doubts(finding), 300)}"
    if not worth_saying(saving.speedup):
        return f"saves about {seconds(saving.seconds)} of this run{sure}"
    gain = f"predicted {factor(saving.speedup.expected)} ({span(saving.speedup)}), saves {seconds(saving.seconds)}"
    return gain + sure


def _bar(share: float, width: int) -> str:
    eighths = round(min(max(share, 0.0), 1.0) * width * 8) if share == share else 0
    full, part = divmod(eighths, 8)
    return (("█" * full) + ("▏▎▍▌▋▊▉"[part - 1] if part else "")).ljust(width)
