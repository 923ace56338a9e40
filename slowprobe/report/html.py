"""The report as one HTML file that needs nothing but itself: no network, no script but its own, no time stamp."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from slowprobe.report import (
    bundle,
    device_page,
    page,
    palette,
    pipeline_page,
    pipeline_words,
    quantities,
    resource_words,
    timeline_page,
)
from slowprobe.report.document import Document
from slowprobe.report.figures import Figure, figures
from slowprobe.report.kept import KeptTemplates
from slowprobe.report.partition import labels, loop_split, parts
from slowprobe.report.untrusted import clean, cleaned

MOST_BYTES = 2_500_000  # so that a report can be attached to a chat message or a pull request

_HERE = Path(__file__).parent


def render(document: Document) -> str:
    """`document` as a page; the same document always gives the same bytes."""
    safe = cleaned(document)
    charts = figures(safe)
    # Only a document made to be huge needs the later ones; the last gives up the charts, which are most of the file.
    for most_findings, drawn in ((40, charts), (10, charts), (3, charts), (3, {})):
        text = _page(safe, most_findings, drawn)
        if len(text.encode()) <= MOST_BYTES:
            break
    return text


def _page(document: Document, most_findings: int, charts: dict[str, Figure]) -> str:
    plotly = bundle.plotly() if charts else None
    scripts = {name: _asset(name) for name in ("first.js", "report.js")}
    hashes = sorted(bundle.csp_hash(script) for script in scripts.values())
    if plotly is not None:
        hashes.append(plotly.csp_hash)
    return (
        _environment()
        .get_template("report.html")
        .render(
            doc=document,
            findings=document.findings[:most_findings],
            csp=_policy(hashes),
            css=Markup(_asset("report.css") + palette.stylesheet()),
            first_js=Markup(scripts["first.js"]),
            report_js=Markup(scripts["report.js"]),
            charts=charts,
            figures_json=embedded(charts),
            plotly=plotly.packed if plotly is not None else "",
            healthy=page.healthy(document),
            after=page.before_and_after(document.verdict.speedup),
            loop=[bucket for bucket in loop_split(document, 7) if bucket.seconds > 0],
            parts=parts(document.time),
            bucket_labels=labels(document),
            page=page,
            devices=device_page,
            timelines=timeline_page,
            pipelines=pipeline_page,
            words=pipeline_words,
            usage=resource_words,
            q=quantities,
        )
    )


def embedded(data: object) -> Markup:
    """`data` as JSON that no HTML or JavaScript parser can take for anything else."""
    text = msgspec.json.encode(data, order="deterministic").decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _policy(hashes: list[str]) -> str:
    """Nothing may be loaded or sent; only the report's own scripts run. Plotly sets styles, so styles are free."""
    return (
        f"default-src 'none'; script-src {' '.join(hashes)}; style-src 'unsafe-inline'; img-src data:; "
        "worker-src 'none'; base-uri 'none'; form-action 'none'"
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=KeptTemplates("autoescape", "trim_blocks", "lstrip_blocks"),
    )
    environment.filters.update(clip=_clip, slot=palette.slot, width=_width)
    return environment


@cache
def _asset(name: str) -> str:
    return (_HERE / "assets" / name).read_text(encoding="utf-8")


def _clip(text: object, limit: int = 300) -> str:
    return clean(str(text), limit)


def _width(share: float) -> str:
    """A share of one as a CSS length, whatever it is."""
    return f"{min(max(share, 0.0), 1.0) * 100:.2f}%" if share == share else "0%"
