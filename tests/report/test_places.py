"""The places of a finding with their source."""

from __future__ import annotations

from report import samples
from slowprobe.diagnose.finding import Where
from slowprobe.report.page import places


def test_a_line_that_stands_in_a_snippet_before_is_marked_there() -> None:
    document, finding = samples.input_bound(), samples.input_finding()
    finding.where = [Where(samples.SCRIPT, line, "main", share) for line, share in ((42, 0.6), (43, 0.3), (50, 0.1))]
    document.snippets = {f"{samples.SCRIPT}:{line}": samples.snippet(line) for line in (42, 43, 50)}
    first, second, third = places(finding, document)
    assert first.snippet is not None
    assert [number for number, _, hit in first.snippet.lines if hit] == [42, 43]
    assert second.snippet is None and (second.line, second.share) == (43, 0.3)
    assert third.snippet is not None, "too far away to be in it"
    assert [hit for _, _, hit in document.snippets[f"{samples.SCRIPT}:42"].lines].count(True) == 1, "not the document's"


def test_equal_numbers_of_other_files_are_other_lines() -> None:
    document, finding = samples.input_bound(), samples.input_finding()
    finding.where = [Where(samples.SCRIPT, 42, "main"), Where("/elsewhere/train.py", 43, "main")]
    document.snippets = {f"{where.file}:{where.line}": samples.snippet(where.line) for where in finding.where}
    assert all(place.snippet is not None for place in places(finding, document))
