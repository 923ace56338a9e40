"""A batch's way through a loader, from synthetic runs, and what the document and its renderers say of it."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import SyntheticRun

from slowprobe.diagnose.evidence import Evidence
from slowprobe.report import html, json, markdown, text
from slowprobe.report.build import build_document
from slowprobe.report.curve_figure import curve
from slowprobe.report.document import Document
from slowprobe.report.loader_document import Loader
from slowprobe.report.pipeline import waits
from slowprobe.report.pipeline_figures import loader_figures
from slowprobe.report.pipeline_page import folded_loaders, lanes, open_loaders
from slowprobe.report.pipeline_words import curve_in_words, pipeline_headline, pipeline_in_words, summary

from . import samples


def run(tmp_path, workers=0, fetch=20.0, collate=2.0, step=13.0, cpu=1.0, epochs=3, first=0.0, **settings) -> Loader:
    recorded = SyntheticRun(tmp_path, "for x in data:\n    net(x).backward()\n")
    loader = recorded.loader(1, num_workers=workers, **settings)
    for _ in range(epochs):
        with recorded.epoch(loader, first_ms=first):
            for _ in range(40):
                recorded.batch(loader, fetch, collate, fetch_cpu=cpu)
                recorded.train(0.3 * step, 0.6 * step, 0.1 * step)
    document = build_document(recorded.records())
    return next(each for each in document.loaders if each.role == "training")


def stages(loader: Loader) -> dict[str, float]:
    assert loader.pipeline is not None
    return {stage.id: stage.ms_per_batch for stage in loader.pipeline.stages}


def test_without_workers_one_process_does_it_all(tmp_path):
    loader = run(tmp_path)
    assert stages(loader) == {"fetch": 20.0, "collate": 2.0, "step": pytest.approx(13.0, abs=0.1)}
    assert loader.pipeline.pace == "fetch" and loader.pipeline.workers_busy_share is None
    assert sum(stage.busy_share for stage in loader.pipeline.stages) == pytest.approx(1.0, abs=0.01)
    (lane,) = lanes(loader)
    assert [tile.label for tile in lane.tiles if tile.pace] == ["Fetch"]
    assert pipeline_headline(loader) == "The loop spends 22.0 ms of every 35.0 ms making its batch."
    assert "No worker makes it beforehand" in pipeline_in_words(loader)


def test_workers_that_do_not_keep_up_set_the_pace(tmp_path):
    loader = run(tmp_path, workers=2, fetch=38.0)
    took = stages(loader)
    assert took["wait"] == pytest.approx(7.0, abs=1.0) and took["fetch"] == 38.0
    assert loader.pipeline.pace == "fetch"
    assert loader.pipeline.workers_busy_share == pytest.approx(1.0, abs=0.05)
    assert loader.pipeline.period_ms == pytest.approx(20.0, abs=1.0)
    assert re.fullmatch(
        r"The loop waits [678]\.\d+ ms of every [12]\d\.\d ms for its batch\.", pipeline_headline(loader)
    )
    assert "2 workers together deliver one every 20.0 ms at best; the step works 13.0 ms" in pipeline_in_words(loader)
    assert [lane.title for lane in lanes(loader)] == ["2 worker processes", "Training process"]


def test_workers_that_keep_up_leave_the_pace_to_the_step(tmp_path):
    loader = run(tmp_path, workers=2, fetch=10.0)
    assert loader.pipeline.pace == "step"
    assert pipeline_headline(loader) == "Batches are ready when the loop asks for them."


def test_time_off_the_cpu_is_storage(tmp_path):
    loader = run(tmp_path, workers=1, fetch=30.0, cpu=0.2)
    took = stages(loader)
    assert (took["storage"], took["fetch"]) == (pytest.approx(24.0), pytest.approx(6.0))
    assert loader.pipeline.pace == "storage"


def test_workers_started_at_each_pass_can_set_the_pace(tmp_path):
    loader = run(tmp_path, workers=2, fetch=1.0, step=3.0, first=900.0)
    assert loader.pipeline.pace == "start"
    assert stages(loader)["start"] == pytest.approx(900 / 40, rel=0.1)
    assert pipeline_headline(loader).startswith("Starting workers costs")
    assert "They were started 3 times" in pipeline_in_words(loader)


def test_kept_workers_were_not_started_at_each_pass(tmp_path):
    loader = run(tmp_path, workers=2, fetch=1.0, step=3.0, first=900.0, persistent_workers=True)
    assert "times" not in pipeline_in_words(loader) and "each of" not in pipeline_in_words(loader)


def test_what_only_waits_are_known_of_says_so(tmp_path):
    recorded = SyntheticRun(tmp_path, "for x in slowprobe.watch(data):\n    net(x).backward()\n")
    watched = recorded.loader(1, watch=True)
    with recorded.epoch(watched):
        for _ in range(40):
            recorded.span("data_wait", watched.subject, 6.0)
            recorded.train(0.5, 1.0, 0.5)
    (loader,) = build_document(recorded.records()).loaders
    assert loader.watched and loader.curve is None
    assert {id: round(took, 1) for id, took in stages(loader).items()} == {"wait": 6.0, "step": 2.0}
    assert loader.pipeline.making_ms is None and loader.pipeline.pace == "wait"
    outside, _ = lanes(loader)
    assert "not known" in outside.unseen and not outside.tiles
    assert "only from outside" in pipeline_in_words(loader)


def test_waits_keep_the_first_of_each_pass_when_thinned():
    many = SimpleNamespace(wait=np.full(50_000, 0.01), first=np.arange(50_000) % 777 == 0, batches=50_000)
    kept = waits([many])  # type: ignore[list-item]
    assert kept.thinned and len(kept.wait_ms) < 20_100
    assert [kept.index[place] for place in kept.first_of_pass] == list(range(0, 50_000, 777))


def test_curve_is_in_the_document(tmp_path):
    loader = run(tmp_path)
    assert loader.curve.present_num_workers == 0 < loader.curve.recommended_num_workers
    counts = [point.num_workers for point in loader.curve.points]
    assert counts == sorted(counts) and loader.curve.recommended_num_workers in counts
    assert "as fast" in curve_in_words(loader.curve)


def test_a_fault_in_the_curve_costs_the_curve_only(tmp_path, monkeypatch):
    monkeypatch.setattr(Evidence, "input_curves", property(lambda self: 1 / 0))
    loader = run(tmp_path, epochs=1)
    assert loader.curve is None and loader.pipeline is not None


def test_round_trip_keeps_the_pipeline():
    document = samples.with_workers()
    assert json.load(json.render(document)) == document


def test_training_loaders_are_open_and_the_others_folded():
    document = samples.with_workers()
    assert [loader.role for loader in open_loaders(document)] == ["training"]
    assert [loader.role for loader in folded_loaders(document)] == ["evaluation"]
    document.loaders = [loader for loader in document.loaders if loader.role == "evaluation"]
    assert len(open_loaders(document)) == 1 and folded_loaders(document) == []


@pytest.mark.parametrize(
    ("recommended", "says"), [(4, "From there on the step"), (2, "No other number"), (0, "cost more")]
)
def test_curve_words(recommended, says):
    drawn = samples.curve(2, recommended, {0: 20.0, 2: 40.0, 4: 19.0})
    if recommended == 2:
        drawn = samples.curve(2, 2, {0: 60.0, 2: 40.0, 4: 40.0})
    assert says in curve_in_words(drawn)


def test_curve_marks_present_and_recommended():
    drawn = curve(samples.curve(2, 4, {0: 88.0, 2: 35.0, 4: 19.0}), 18.0)
    assert [note["text"] for note in drawn["layout"]["annotations"]] == [
        "<b>now</b><br>35.0 ms",
        "<b>recommended</b><br>19.0 ms",
    ]
    assert drawn["layout"]["shapes"][0]["y0"] == 18.0


def test_curve_has_room_for_its_numbers():
    settings = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32)
    ticks = curve(samples.curve(1, 32, dict.fromkeys(settings, 9.0)), None)["layout"]["xaxis"]["tickvals"]
    assert {1, 32} <= set(ticks) and len(ticks) <= 12


def test_charts_of_numbers_that_are_none_are_left_out_or_drawn_without_them():
    drawn = loader_figures(samples.hostile().loaders[:1])
    assert [point["x"] for point in drawn["curve-0"]["data"][:1]] == [[2, 3]]
    assert drawn["waits-0"]["layout"]["yaxis"]["range"][1] > 0


def _section(document: Document) -> str:
    page = html.render(document)
    return page[page.index('<section id="loaders"') : page.index("</section>", page.index('<section id="loaders"'))]


def test_section_shows_picture_tables_and_charts():
    section = _section(samples.with_workers())
    for expected in (
        "2 worker processes",
        "Storage, I/O",
        "Hand-over",
        "a batch every 35.0 ms at best",
        "RandomResizedCrop",
        "Worker processes (2)",
        'data-figure="waits-0"',
        'data-figure="curve-0"',
        "DataLoader(Validation)",
    ):
        assert expected in section, expected
    assert len(re.findall(r'class="stage [^"]*pace', section)) == 2  # one of each loader
    assert section.index("2 worker processes") < section.index("DataLoader(Validation)")


def test_section_of_a_watched_iterable_has_no_made_up_stages():
    section = _section(samples.watched())
    assert "not known" in section and "RandomResizedCrop" not in section and "Collate</" not in section
    assert "curve-0" not in section


def test_hostile_names_stay_text():
    section = _section(samples.hostile())
    assert not re.search(r"<(script|img|svg|b>bold|style)", section)
    assert "&lt;/script&gt;" in section


@pytest.mark.parametrize("render", [text.render, markdown.render])
def test_terminal_and_markdown_have_one_line(render):
    assert render(samples.with_workers()).count("Input: 70.0 ms to make a batch") == 1
    assert summary(samples.no_steps()) == []
    unfound = samples.with_workers()
    unfound.findings = []
    assert "Input:" in render(unfound) and "instead of" not in render(unfound)
    calm = samples.with_workers()
    calm.loaders[1].pipeline = samples.pipeline(2, "step", fetch=9.0, wait=0.1, step=18.0)
    assert "Input:" not in render(calm)
