"""How large reports are and how soon they can be read: small, typical, of 100,000 steps, of 64 ranks.

    python benchmarks/report_size.py [--rounds 5]

Small and typical are reports of the gallery, rendered anew. The long one has the loop of the typical with 100,000 steps
of random lengths; the large one is made by `slowprobe analyze` of 64 made-up traces. Each is opened in turn in headless
Chromium, from a file. First content: the browser's first-contentful-paint. Drawn: when all charts are, from the start
of the navigation; medians. The goals: 2.5 MB, first content in 1 s, all of it in 2 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "tests" / "timeline" / "ranks")]

from rank_traces import Job  # noqa: E402

from slowprobe.report import html, json  # noqa: E402
from slowprobe.report.build import step_series  # noqa: E402
from slowprobe.report.document import Document  # noqa: E402
from slowprobe.timeline.step_stats import StepStats  # noqa: E402

STEPS, RANKS, CALLS = 100_000, 64, 40
CHROMIUM = "/usr/bin/chromium"
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
DRAWN = """() => new Promise((done) => {
  const look = () => document.documentElement.dataset.charts ? done(performance.now()) : requestAnimationFrame(look);
  look();
})"""


def kept(name: str) -> Document:
    """A report of the gallery."""
    return json.load((ROOT / "reports" / name / "report.json").read_bytes())


def long() -> Document:
    """The typical one, of 100,000 steps."""
    document, random = kept("cpu_transform_slow"), np.random.default_rng(0)
    assert document.series is not None
    parts = {bucket: random.gamma(4.0, 2.0, STEPS) for bucket in document.series.parts}
    wall = np.sum(list(parts.values()), axis=0)
    steps = StepStats("batch", STEPS, np.cumsum(wall) / 1e3, wall, np.ones(STEPS, dtype=bool), parts, 1.0)
    document.series = step_series(steps)
    return document


def large(folder: Path) -> Document:
    """64 ranks that come to 40 collectives each at times of their own."""
    random = np.random.default_rng(0)
    comes = [[float(late) for late in random.uniform(50, 900, RANKS)] for _ in range(CALLS)]
    (folder / "traces").mkdir()
    Job(comes, calls_a_step=4).write(folder / "traces")
    command = [sys.executable, "-m", "slowprobe", "analyze", str(folder / "traces"), "--out", str(folder / "out")]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return json.load((folder / "out" / "report.json").read_bytes())


def opened(browser: Any, path: Path) -> tuple[float, float]:
    """Seconds to the first content, and until all charts are drawn."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(path.as_uri(), wait_until="commit")
    drawn = page.evaluate(DRAWN)
    painted = page.evaluate(PAINTED)
    context.close()
    return painted / 1e3, drawn / 1e3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        documents = {
            "small (no finding)": kept("healthy"),
            "typical": kept("cpu_transform_slow"),
            f"{STEPS:,} steps": long(),
            f"{RANKS} ranks": large(folder),
        }
        paths = {label: folder / f"{number}.html" for number, label in enumerate(documents)}
        for label, document in documents.items():
            paths[label].write_text(html.render(document), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        times: dict[str, list[tuple[float, float]]] = {label: [] for label in documents}
        for _ in range(rounds):
            for label, path in paths.items():
                times[label].append(opened(browser, path))
        browser.close()
        print("| report | size | report.json | first content | drawn |\n|---|---:|---:|---:|---:|")
        for label, path in paths.items():
            painted, drawn = (statistics.median(each) for each in zip(*times[label], strict=True))
            data = len(json.render(documents[label]).encode())
            print(
                f"| {label} | {path.stat().st_size / 1e6:.2f} MB | {data / 1e6:.2f} MB "
                f"| {painted:.2f} s | {drawn:.2f} s |"
            )


if __name__ == "__main__":
    main()
