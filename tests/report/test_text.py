from __future__ import annotations

import re

import pytest

from slowprobe.report import markdown, text

from . import samples


def test_summary_says_what_where_and_how_much() -> None:
    summary = text.render(samples.input_bound())
    assert summary.startswith("The loop stands still half of the time")
    assert "With both changes the loop is predicted to run 1.9× as fast (1.7× to 2.0×)." in summary
    assert "1. HIGH   Batches are made on the training thread" in summary
    assert f"{samples.SCRIPT}:42 in main" in summary
    assert "predicted 1.9× (1.7× to 1.9×), saves 25.9 s" in summary
    assert "slowprobe cost 0.5 % of the run" in summary


def test_loop_split_adds_up() -> None:
    summary = text.render(samples.input_bound())
    shares = [float(share) for share in re.findall(r"([\d.]+) % +[\d.]+ (?:s|ms)$", summary, re.M)]
    assert sum(shares) == pytest.approx(100, abs=2)


@pytest.mark.parametrize("width", [40, 60, 88, 140])
def test_lines_fit(width: int) -> None:
    for build in (samples.input_bound, samples.healthy, samples.no_steps):
        lines = text.render(build(), width).splitlines()
        assert [line for line in lines if len(line) > width and samples.SCRIPT not in line] == []


def test_measured_speedup_comes_first() -> None:
    assert "measured 1.8× (1.7× to 1.9×), predicted 1.9×" in text.render(samples.input_bound(verified=True))


def test_healthy_loop_promises_nothing() -> None:
    summary = text.render(samples.healthy())
    assert summary.startswith("This loop is healthy") and "predicted" not in summary


def test_no_steps_gives_advice() -> None:
    assert "  - Fix the error it ended with, then profile again." in text.render(samples.no_steps())


def test_colour_only_on_request() -> None:
    assert "\x1b" not in text.render(samples.input_bound())
    assert "\x1b[1;31mHIGH" in text.render(samples.input_bound(), colour=True)


@pytest.mark.parametrize("render", [text.render, markdown.render])
def test_nothing_hostile_reaches_the_terminal(render: object) -> None:
    summary: str = render(samples.hostile())  # type: ignore[operator]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", summary)
    assert len(summary) < 40_000


def test_markdown_is_short_and_has_the_diff() -> None:
    page = markdown.render(samples.input_bound())
    assert "### 1. Batches are made on the training thread (high)" in page
    assert "```diff\n-    loader = DataLoader(" in page
    assert "| Loading items on the training thread | 23.4 s | 42 % |" in page
    assert len(page) < 4_000


def test_markdown_names_stay_text() -> None:
    document = samples.input_bound(5)
    document.verdict.headline = "[x](https://evil.example) <img> @everyone `"
    assert r"**\[x\]\(https://evil.example\) \<img\> \@everyone \`**" in markdown.render(document)
    document.findings[0].fix = samples.Fix("f", "+```\n+# out of the fence")
    assert "````diff\n+```\n" in markdown.render(document)


def test_notes_are_shown() -> None:
    document = samples.healthy()
    document.notes = ["The machine was busy.", "Only 3 steady steps were recorded.", "a third"]
    summary = text.render(document)
    assert "\nNote: The machine was busy.\n" in summary and "Note: Only 3" in summary and "a third" not in summary
