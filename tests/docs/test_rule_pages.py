"""docs/rules/ is what the rules say, and every rule says all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.builders import DOCS, builder
from slowprobe.diagnose.engine import LoadedRule, discover
from slowprobe.diagnose.rule import Rule

ASKED = ["What it is", "Why it is slow", "How it is seen", "Stays quiet when", "Fix", "Sources"]
RULES = discover()


rule_pages = builder("build_rules")


def test_the_pages_are_up_to_date() -> None:
    made = rule_pages.pages()
    kept = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "rules").glob("*.md")}
    stale = sorted(name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name))
    assert not stale, f"docs/rules/ is not what the rules say: run `make docs`. Out of date: {', '.join(stale)}"


@pytest.mark.parametrize("loaded", RULES, ids=lambda loaded: loaded.id)
def test_every_rule_tells_the_six_things_in_order(loaded: LoadedRule) -> None:
    first, told = rule_pages.sections(loaded.documentation)
    assert first.rstrip().endswith((".", ":")) and "\n\n" not in first
    assert [heading for heading, _ in told if heading != "Saving"] == ASKED
    assert all(blocks for _, blocks in told), "a heading without text"


@pytest.mark.parametrize("loaded", RULES, ids=lambda loaded: loaded.id)
def test_every_link_of_a_page_leads_somewhere(loaded: LoadedRule) -> None:
    text = rule_pages.page(loaded, {each.id for each in RULES})
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(`+)[\s\S]*?\1", "", text)):
        in_rules = re.fullmatch(r"[a-z0-9-]+\.md", target)
        assert in_rules or (DOCS / "rules" / target).resolve().is_file(), target


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("call torch.no_grad() there", "call `torch.no_grad()` there"),
        ("DataLoader(..., num_workers=n), or so", "`DataLoader(..., num_workers=n)`, or so"),
        ("Lightning (up to 3 times)", "Lightning (up to 3 times)"),
        ("a * b, x < y and `kept` as it is", "a \\* b, x \\< y and `kept` as it is"),
        ("in __init__, not in num_workers", "in `__init__`, not in `num_workers`"),
        ("f(a(b(c))) and DataLoader(", "`f(a(b(c)))` and DataLoader("),
        ("see https://example.org/a_b(c)", "see https://example.org/a_b(c)"),
        ("e.g. torch 2.13, torchtitan#148", "e.g. torch 2.13, torchtitan#148"),
    ],
)
def test_what_reads_like_code_is_marked(text: str, shown: str) -> None:
    assert rule_pages.prose(text) == shown


def test_any_docstring_makes_a_page(tmp_path: Path) -> None:
    odd = "It is slow\nhere.\n\nFix: do:\n\n    for x in y: ```\n\nand | pipe\n\n- one\n- two_three"
    loaded = LoadedRule("odd-rule", Rule("A | title", "input", ("steps", "no_such_evidence")), odd, rule_pages)
    text = rule_pages.page(loaded, set())
    assert "````text\nfor x in y: ```\n````" in text
    assert "- one\n- `two_three`" in text and "and \\| pipe" in text and "- `no_such_evidence`" in text
    assert "A \\| title" in rule_pages.index([loaded])
    assert rule_pages.page(LoadedRule("bare", loaded.rule, "", rule_pages), set()).startswith("<!--")


def test_pages_of_rules_that_are_gone_are_removed(tmp_path: Path) -> None:
    (tmp_path / "gone-rule.md").write_text("old")
    assert "gone-rule.md" in rule_pages.write(tmp_path) and not (tmp_path / "gone-rule.md").exists()
    assert rule_pages.write(tmp_path) == []
