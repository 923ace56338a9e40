"""What the operators reach, as lines of a terminal or a Markdown text."""

from __future__ import annotations

from collections.abc import Iterator

from slowprobe.report.document import Document


def reach_lines(document: Document) -> Iterator[str]:
    """The rate, where the headline does not say it already, and what may still be won."""
    reach = document.window.reach if document.window is not None else None
    if reach is None:
        return
    if reach.text not in document.verdict.headline:
        yield reach.text
    if reach.remains:
        yield "What may still be won. " + " ".join(reach.remains)
