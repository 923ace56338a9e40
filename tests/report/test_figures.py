from __future__ import annotations

import math

import pytest

from slowprobe.report import figures, palette
from slowprobe.report.document import Bucket, StepSeries
from slowprobe.report.thinning import thin
from slowprobe.report.untrusted import cleaned

from . import samples


def test_partition_holds_every_second_once() -> None:
    time = samples.time()
    (trace,) = figures.partition(time)["data"]
    assert sum(trace["values"]) == pytest.approx(time.wall_s)
    assert set(trace["parents"]) <= {"", *trace["ids"]}
    assert "Unaccounted" in trace["labels"]


def test_partition_leaves_out_what_is_not_a_time() -> None:
    time = samples.time()
    odd = [Bucket(id="x", label="x", seconds=s, share=s, scope="step") for s in (math.nan, -1.0, 0.0)]
    time.buckets += odd
    (trace,) = figures.partition(time)["data"]
    assert "x" not in trace["labels"]


def test_long_series_is_thinned_and_keeps_its_slowest_step() -> None:
    series = samples.series(60_000)
    series.wall_ms[31_415] = 900.0
    points = thin(series)
    assert len(points.wall_ms) <= 800
    assert max(points.slowest_ms) == 900.0 and 31_415 in points.slowest
    assert sum(points.wall_ms) * points.group == pytest.approx(sum(series.wall_ms), rel=1e-3)


def test_short_series_is_drawn_step_by_step() -> None:
    series = samples.series(12)
    points = thin(series)
    assert points.group == 1 and points.wall_ms == series.wall_ms
    assert points.unsteady[0] == (0, 9)


def test_step_taller_than_the_chart_is_marked() -> None:
    document = samples.input_bound(200)
    assert document.series is not None
    document.series.wall_ms[0] = 60_000.0
    figure = figures.steps(document)
    mark = figure["data"][-1]
    assert mark["name"] == "taller than the chart" and mark["customdata"] == ["step 0: 60.0 s"]
    assert figure["layout"]["yaxis"]["range"][1] < 1_000


def test_many_parts_become_few_layers() -> None:
    document = samples.input_bound(50)
    assert document.series is not None
    document.series.parts = {f"p{number}": [1.0] * 50 for number in range(100)}
    assert len(figures.steps(document)["data"]) <= 13


def test_series_without_parts_shows_the_whole_step() -> None:
    document = samples.input_bound(3)
    document.series = StepSeries(
        index=[0, 1, 2], start_s=[0, 1, 2], wall_ms=[5, 6, 7], steady=[True] * 3, parts={}, thinned=False
    )
    trace, *_ = figures.steps(document)["data"]
    assert trace["name"] == "whole step" and trace["y"] == [5, 6, 7]


@pytest.mark.parametrize("attack", samples.ATTACKS)
def test_plotly_gets_no_markup(attack: str) -> None:
    assert not set("<>") & set(figures.plain(cleaned(attack)))


def test_every_bucket_has_one_safe_colour() -> None:
    css = palette.stylesheet()
    for bucket in [*palette.LIGHT_AND_DARK, *samples.ATTACKS, "brand_new"]:
        assert f".bucket-{palette.slot(bucket)}{{" in css
    assert palette.slot("brand_new") == palette.slot("brand_new")


def test_text_on_every_colour_is_readable() -> None:
    for colours in palette.LIGHT_AND_DARK.values():
        for colour in colours:
            assert palette.contrast(palette.readable_on(colour), colour) >= 4.5
