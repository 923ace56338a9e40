"""What a person sees: the pages in a real Chromium, from a file, with the network watched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slowprobe.notebook import frame
from slowprobe.report import html

from . import samples

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Chromium at /usr/bin/chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    paths = {name: folder / f"{name}.html" for name in samples.EVERY}
    for name, build in samples.EVERY.items():
        paths[name].write_text(html.render(build()), encoding="utf-8")
    return paths


class Visit:
    """One page with everything it complained about and asked for."""

    def __init__(self, browser: Any, path: Path, charts: bool = True, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        if charts:
            self.page.wait_for_selector("html[data-charts]", state="attached")
            self.page.wait_for_timeout(200)

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.mark.parametrize("name", samples.EVERY)
def test_page_draws_quietly_and_asks_for_nothing(browser: Any, files: dict[str, Path], name: str) -> None:
    with Visit(browser, files[name]) as visit:
        assert visit.page.evaluate("document.documentElement.dataset.charts") == "drawn"
        assert visit.complaints == []
        assert [url for url in visit.requests if not url.startswith(("file:", "data:"))] == []
        charts = visit.page.locator(".chart").count()
        assert charts >= 1
        assert visit.page.locator(".chart.drawn .main-svg").count() >= charts
        assert visit.page.evaluate("window.pwned === undefined")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["input_bound", "with_workers", "on_device", "no_steps"])
def test_axe_finds_nothing_serious(browser: Any, files: dict[str, Path], name: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with Visit(browser, files[name], color_scheme=scheme) as visit:
        answer = axe.run(visit.page).response
    assert len(answer["passes"]) > 20
    found = answer["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["target"] for node in each["nodes"][:4]]) for each in serious] == []


def test_every_part_of_the_run_is_drawn(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["input_bound"]) as visit:
        # the run, four scopes, and the buckets
        assert visit.page.locator(".chart-time g.slice").count() == 1 + 4 + len(samples.BUCKETS)
        assert visit.page.locator(".chart-steps .scatterlayer .trace").count() >= 6
        assert visit.page.locator(".chart-ops .point").count() == 5
        assert visit.page.locator(".chart-flame g.slice").count() == len(samples.flame().parent)


def test_flame_graph_looks_closer_and_comes_back(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["input_bound"]) as visit:
        chart = visit.page.locator(".chart-flame")
        wide = "boxes => boxes.map(box => box.getBoundingClientRect().width)"
        forward = chart.locator("g.slice", has_text="train.py:45").locator("path.surface")
        before = forward.evaluate_all(wide)[0]
        forward.click(force=True)
        visit.page.wait_for_timeout(1200)
        assert forward.evaluate_all(wide)[0] > 3 * before
        chart.locator("g.pathbar", has_text="Training loop").locator("path.surface").click(force=True)
        visit.page.wait_for_timeout(1200)
        assert forward.evaluate_all(wide)[0] < 1.5 * before
        assert visit.complaints == []


def test_input_pipeline_is_drawn(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["with_workers"]) as visit:
        section = visit.page.locator("#loaders")
        assert section.locator(".lane").first.is_visible()
        assert section.locator(".stage.pace").first.inner_text().startswith("Transforms")
        wide = section.locator(".stage").evaluate_all("tiles => tiles.map(tile => tile.getBoundingClientRect().width)")
        assert wide[2] == max(wide[:5])  # as wide as it is long
        assert section.locator(".chart-waits-0 .scatterlayer .trace").count() >= 2
        assert "recommended" in section.locator(".chart-curve-0").inner_text()
        section.locator("details.folded > summary").click()
        assert section.locator("details.folded .stage").first.is_visible()
        assert visit.complaints == []


def test_step_on_the_device_is_drawn(browser: Any, files: dict[str, Path]) -> None:
    step = samples.on_device().device.timeline  # type: ignore[union-attr]
    with Visit(browser, files["on_device"]) as visit:
        chart = visit.page.locator(".chart-device-step")
        cells = sum(len(lane.start_us) for lane in step.lanes)  # type: ignore[union-attr]
        assert chart.locator(".barlayer .point").count() == cells
        assert chart.locator("pattern").count() >= 2  # idle time is hatched
        for lane in step.lanes:  # type: ignore[union-attr]
            assert lane.label in chart.inner_text()
        assert visit.page.locator(".chart-device-steps .barlayer .trace").count() == len(
            samples.on_device().device.parts
        )  # type: ignore[union-attr]
        assert visit.page.locator(".chart-device-memory .scatterlayer .trace").count() == 3
        chart.hover(position={"x": 60, "y": 30})
        visit.page.wait_for_timeout(200)
        assert "Getting the next batch" in (chart.locator(".hoverlayer").text_content() or "")
        assert visit.complaints == []


def test_typical_step_and_resources_are_drawn(browser: Any, files: dict[str, Path]) -> None:
    step = samples.typical_step(2)
    with Visit(browser, files["with_workers"]) as visit:
        chart = visit.page.locator(".chart-host-step")
        assert chart.locator(".barlayer .point").count() == sum(len(lane.start_us) for lane in step.lanes)
        for lane in step.lanes:
            assert lane.label in chart.inner_text()
        assert visit.page.locator(".chart-op-step .barlayer .point").count() == 240
        section = visit.page.locator("#resources")
        assert section.locator(".chart-cores .scatterlayer .trace").count() == 3
        assert section.locator(".chart-host-memory .scatterlayer .trace").count() == 2
        charts = section.locator(".chart").evaluate_all(
            "charts => charts.map(each => each.querySelector('.main-svg').clientWidth <= each.clientWidth)"
        )
        assert charts == [True, True]
        chart.hover(position={"x": 60, "y": 88})
        visit.page.wait_for_timeout(200)
        assert "Fetching items" in (chart.locator(".hoverlayer").text_content() or "")
        assert visit.complaints == []


def test_typical_step_and_resources_can_be_read_without_javascript(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["with_workers"], charts=False, java_script_enabled=False) as visit:
        visit.page.locator("#timeline summary").click()
        assert visit.page.locator("#timeline").get_by_text("Worker 1").is_visible()
        assert visit.page.locator("#resources").get_by_text("of 8 cores").first.is_visible()
        visit.page.locator("#resources summary").click()
        assert visit.page.locator("#resources details[open] table").is_visible()


def test_looking_closer_at_a_step_is_quick(browser: Any, files: dict[str, Path]) -> None:
    zoom = """async () => {
        const chart = document.querySelector('.chart-device-step');
        const start = performance.now();
        await Plotly.relayout(chart, {'xaxis.range': [30, 40]});
        return performance.now() - start;
    }"""
    with Visit(browser, files["on_device"]) as visit:
        assert visit.page.evaluate(zoom) < 1_500
        assert visit.page.evaluate("document.querySelector('.chart-device-step')._fullLayout.yaxis.fixedrange")


def test_device_can_be_read_without_javascript(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["on_device"], charts=False, java_script_enabled=False) as visit:
        visit.page.get_by_text("The whole recording").click()  # folded: the steps' share of it stands further up
        assert visit.page.locator("#device details[open] table").first.is_visible()
        assert visit.page.get_by_text("Longest idle gaps").is_visible()
        visit.page.locator("#device-step").get_by_text("The rows of the chart in figures").click()
        assert visit.page.locator("#device-step details[open] table").first.is_visible()
        assert visit.page.locator("#ranks .straggler").is_visible()


def test_input_pipeline_can_be_read_without_javascript(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["with_workers"], charts=False, java_script_enabled=False) as visit:
        section = visit.page.locator("#loaders")
        assert section.get_by_text("sets the pace").first.is_visible()
        section.get_by_text("The numbers").first.click()
        assert section.get_by_role("row", name="4 recommended").first.is_visible()


def test_click_on_a_part_leaves_the_whole_run_in_view(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["input_bound"]) as visit:
        slices = visit.page.locator(".chart-time g.slice")
        before = slices.count()
        visit.page.locator(".chart-time").click(position={"x": 300, "y": 150})
        visit.page.wait_for_timeout(1_000)
        assert slices.count() == before
        assert visit.page.locator(".chart-time .hoverlayer").text_content()


def test_names_are_text_in_charts(browser: Any, files: dict[str, Path]) -> None:
    with Visit(browser, files["hostile"]) as visit:
        assert visit.page.locator(".chart a").count() == 0
        assert "<b>bold</b>" in visit.page.locator(".chart-ops").inner_text()


@pytest.mark.parametrize("name", ["input_bound", "healthy", "no_steps", "hostile"])
def test_page_is_complete_without_javascript(browser: Any, files: dict[str, Path], name: str) -> None:
    with Visit(browser, files[name], charts=False, java_script_enabled=False) as visit:
        assert visit.page.locator("h1").is_visible()
        assert visit.page.locator("#time table").is_visible()
        assert visit.page.locator(".chart").first.is_hidden()
        assert visit.page.locator("button:visible").count() == 0
        if name == "input_bound":
            assert visit.page.locator(".finding .diff").first.is_visible()
            visit.page.locator(".finding summary").first.click()
            assert visit.page.get_by_text("n02102040_1082.JPEG").is_visible()


@pytest.mark.parametrize("name", samples.EVERY)
def test_narrow_screen_does_not_scroll_sideways(browser: Any, files: dict[str, Path], name: str) -> None:
    with Visit(browser, files[name], viewport={"width": 375, "height": 700}) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 375


def test_charts_follow_the_theme(browser: Any, files: dict[str, Path]) -> None:
    ink = "getComputedStyle(document.querySelector('.chart-steps .xtick text')).fill"
    background = "getComputedStyle(document.body).backgroundColor"
    with Visit(browser, files["input_bound"], color_scheme="light") as visit:
        light = visit.page.evaluate(ink), visit.page.evaluate(background)
        visit.page.emulate_media(color_scheme="dark")
        visit.page.wait_for_timeout(400)
        dark = visit.page.evaluate(ink), visit.page.evaluate(background)
        assert light[0] != dark[0] and light[1] != dark[1]
        assert visit.complaints == []


def test_copy_gives_the_diff(browser: Any, files: dict[str, Path]) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    with Visit(browser, files["input_bound"], permissions=permissions) as visit:
        visit.page.get_by_role("button", name="Copy diff").first.click()
        visit.page.get_by_role("button", name="Copied").wait_for()
        assert visit.page.evaluate("navigator.clipboard.readText()") == samples.input_finding().fix.diff


def test_page_without_decompression_says_so(browser: Any, files: dict[str, Path]) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(files["input_bound"].as_uri())
    page.wait_for_selector("html[data-charts=failed]", state="attached")
    assert page.locator(".no-charts").first.is_visible() and page.locator(".chart").first.is_hidden()
    context.close()


def test_print_is_light_and_complete(browser: Any, files: dict[str, Path], tmp_path: Path) -> None:
    with Visit(browser, files["input_bound"], color_scheme="dark") as visit:
        visit.page.pdf(path=str(tmp_path / "report.pdf"))
        assert visit.complaints == []
        assert (tmp_path / "report.pdf").stat().st_size > 50_000


def test_notebook_shows_the_report_inline(browser: Any, tmp_path: Path) -> None:
    """In the frame below the cell: charts drawn, as wide as the page, all of it reachable, and quiet."""
    page = tmp_path / "notebook.html"
    page.write_text(f"<!doctype html><meta charset=utf-8>{frame(html.render(samples.EVERY['input_bound']()))}")
    with Visit(browser, page, charts=False) as visit:
        inside = visit.page.frame_locator("iframe")
        inside.locator("html[data-charts=drawn]").wait_for(state="attached")
        root = inside.locator("html")
        assert inside.locator(".chart.drawn .main-svg").first.is_visible()
        assert root.evaluate("root => root.scrollWidth <= root.clientWidth")
        inside.get_by_role("link", name="Method").click()
        inside.locator("#method").wait_for()
        assert root.evaluate("root => root.scrollTop > root.clientHeight")
        assert visit.complaints == []
        assert [url for url in visit.requests if not url.startswith(("file:", "data:", "about:"))] == []
