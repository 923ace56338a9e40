from __future__ import annotations

import base64
import gzip
import re
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from slowprobe.report import bundle, html
from slowprobe.report.document import Document

from . import samples

PAGES = {name: html.render(build()) for name, build in samples.EVERY.items()}


class Tags(HTMLParser):
    """Every start tag with its attributes, and the text of each inline script."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.text: list[str] = []
        self._raw = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append((dict(attrs).get("type"), ""))

    def handle_endtag(self, tag: str) -> None:
        self._raw = ""

    def handle_data(self, data: str) -> None:
        if self._raw == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)
        elif not self._raw:
            self.text.append(data)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_small_and_writable(name: str) -> None:
    assert len(PAGES[name].encode()) <= html.MOST_BYTES


@pytest.mark.parametrize("name", PAGES)
def test_page_loads_nothing(name: str) -> None:
    page = Tags(PAGES[name])
    for tag, attributes in page.tags:
        assert tag not in {"iframe", "object", "embed", "img", "form", "base", "svg"}
        assert not any(key.startswith("on") for key in attributes), attributes
        for key in ("src", "href", "action", "data", "srcset", "poster"):
            assert (attributes.get(key) or "#").startswith(("#", "data:,")), attributes
    style = re.search(r"<style>(.*?)</style>", PAGES[name], re.S)
    assert style is not None and "url(" not in style[1] and "@import" not in style[1]


@pytest.mark.parametrize("name", PAGES)
def test_only_the_reports_own_scripts_may_run(name: str) -> None:
    page = Tags(PAGES[name])
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy and "http" not in policy
    scripts = policy.split("script-src ")[1].split(";")[0].split()
    assert "'unsafe-inline'" not in scripts
    running = [text for kind, text in page.scripts if kind is None]
    assert len(running) == 2
    for text in running:
        assert f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'" in scripts


def test_same_document_same_bytes() -> None:
    bundle.plotly.cache_clear()
    assert html.render(samples.input_bound()) == PAGES["input_bound"]


def test_huge_document_gives_up_findings_and_then_charts() -> None:
    document = samples.hostile()
    document.outcomes = {f"{n}": samples.Outcome("passed", "<" * 300, "<" * 900) for n in range(400)}
    page = html.render(document)
    assert len(page.encode()) <= html.MOST_BYTES
    assert 'id="plotly"' not in page and "57 more findings are in report.json" in page


def test_document_is_left_as_it_was() -> None:
    document = samples.input_bound()
    html.render(document)
    assert document == samples.input_bound()


def test_bundle_unpacks_to_what_the_policy_allows() -> None:
    plotly = bundle.plotly()
    source = gzip.decompress(base64.b64decode(plotly.packed))
    assert bundle.csp_hash(source) == plotly.csp_hash
    assert b"plotly.js" in source[:200]


def test_hostile_strings_stay_text() -> None:
    page = PAGES["hostile"]
    tags = Tags(page)
    assert len([tag for tag, _ in tags.tags if tag == "script"]) == 5 - 1
    assert len([tag for tag, _ in tags.tags if tag == "style"]) == 1
    data = next(text for kind, text in tags.scripts if kind == "application/json")
    assert not set("<>&\u2028\u2029") & set(data)
    invisible = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")
    assert invisible.search(page) is None
    assert "[U+202E]" in page and "␛" in page
    assert "{{ 7 * 7 }}" in page and " 49 " not in page
    assert "x" * 5_000 not in page


def test_findings_come_in_the_order_given_with_place_change_and_saving() -> None:
    text = " ".join(" ".join(Tags(PAGES["input_bound"]).text).split())
    assert text.index("What to change") < text.rindex("Batches are made on the training thread 1.9×"[:39])
    for expected in (
        "train.py:42",
        "num_workers=4",
        "1.7× to 1.9×",
        "saves 25.9 s",
        "n02102040_1082.JPEG",
        "123",
    ):
        assert expected in text
    assert '<span class="row hit"><span class="number">42</span>' in PAGES["input_bound"]
    assert '<span class="row added">' in PAGES["input_bound"]


def test_measured_speedup_stands_before_the_predicted_one() -> None:
    page = html.render(samples.input_bound(verified=True))
    assert "<b>1.8×</b> measured" in page
    assert "1.7× to 1.9×; predicted 1.9×" in page
    assert "losses agree: yes" in page


def test_healthy_loop_says_what_was_looked_for() -> None:
    page = PAGES["healthy"]
    assert "No bottleneck found" in page and "slowprobe looked for 6 known causes" in page
    assert "What to change" not in page and "as fast" not in page


def test_run_without_steps_shows_advice_and_no_empty_section() -> None:
    page = PAGES["no_steps"]
    assert "Does the script train in another process?" in page
    for section in ("findings", "steps", "loaders", "ops", "lines", "device"):
        assert f'<section id="{section}"' not in page


def test_document_with_nothing_but_the_required_keys() -> None:
    document: Document = samples.no_steps()
    document.time.buckets, document.outcomes, document.notes, document.advice = [], {}, [], []
    document.resources = None
    page = html.render(document)
    assert "plotly" not in page.split("</style>")[1].split("<script>")[0]
    assert 'id="figures"' not in page


@pytest.mark.parametrize("name", PAGES)
def test_headings_are_in_order(name: str) -> None:
    levels = [int(tag[1]) for tag, _ in Tags(PAGES[name]).tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("name", PAGES)
def test_ids_are_unique_and_links_lead_somewhere(name: str) -> None:
    tags = Tags(PAGES[name]).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in tags:
        if tag == "a":
            assert (attributes["href"] or "")[1:] in ids
