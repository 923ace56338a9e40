"""How a finding that is less than sure is shown."""

from __future__ import annotations

from slowprobe.report import html, json, markdown, text

from . import samples


def doubtful():
    document = samples.input_bound()
    document.findings[0].confidence, document.findings[0].doubts = "low", ["the run has only 2 steady steps", "<b>busy"]
    return document


def test_every_renderer_says_how_sure_a_finding_is_and_why():
    shown = {"html": html.render(doubtful()), "text": text.render(doubtful(), 200), "md": markdown.render(doubtful())}
    for name, page in shown.items():
        assert "onfidence low" in page, name
        assert "the run has only 2 steady steps" in page, name
    assert "<b>busy" not in shown["html"]


def test_what_is_sure_is_not_talked_about():
    document = samples.input_bound()
    for page in (html.render(document), text.render(document), markdown.render(document)):
        assert "onfidence" not in page


def test_confidence_is_in_the_data_and_may_be_missing_from_old_reports():
    written = json.render(doubtful())
    read = json.load(written)
    assert (read.findings[0].confidence, read.findings[1].confidence, read.verdict.confidence) == (
        "low",
        "high",
        "high",
    )
    old = "\n".join(line for line in written.splitlines() if '"confidence"' not in line)
    old = old.replace('"doubts": [', '"unknown": [')
    trimmed = old.replace(",\n  }", "\n  }").replace(",\n    }", "\n    }").replace(",\n      }", "\n      }")
    assert json.load(trimmed).findings[0].confidence == "high"


def test_an_unsure_verdict_is_not_shown_as_healthy():
    document = samples.healthy()
    assert "No bottleneck found" in html.render(document)
    document.verdict.confidence = "low"
    page = html.render(document)
    assert "No bottleneck found" not in page and "Not sure" in page


def test_reports_name_the_command_that_explains_a_rule():
    document = samples.input_bound()
    rule = document.findings[0].rule
    assert f"slowprobe rules explain {rule}" in html.render(document)
    assert f"slowprobe rules explain {rule}" in text.render(document)
