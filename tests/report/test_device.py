"""The device sections of the page, from documents made by hand."""

from __future__ import annotations

import json as stdlib_json
import re
from itertools import pairwise

import msgspec
import pytest

from slowprobe.report import device_page, device_words, figures, html, json, markdown, palette, quantities, text
from slowprobe.report.device_figures import by_step, device_figures, memory_curve
from slowprobe.report.timeline_figure import timeline
from slowprobe.report.untrusted import cleaned

from . import device_samples, samples


@pytest.fixture(scope="module")
def page() -> str:
    return html.render(samples.on_device())


def test_contract_comes_first_in_the_json() -> None:
    written = stdlib_json.loads(json.render(samples.on_device()))["device"]
    assert list(written)[:8] == [
        "span_us",
        "busy_us",
        "idle_us",
        "compute_us",
        "communication_us",
        "exposed_communication_us",
        "exposed_copy_us",
        "idle_causes",
    ]
    assert sum(written["idle_causes"].values()) == pytest.approx(written["idle_us"])


def test_round_trip() -> None:
    document = samples.on_device()
    assert json.load(json.render(document)) == document


def test_groups_add_up_to_the_span() -> None:
    device = device_samples.device()
    groups = device_page.groups(device)
    assert [group.id for group in groups] == ["compute", "communication", "copy", "idle"]
    assert sum(group.us for group in groups) == pytest.approx(device.span_us)
    assert groups[0].us == pytest.approx(device.compute_us) and groups[3].us == pytest.approx(device.idle_us)


def test_headline_says_how_busy_and_why_idle() -> None:
    said = device_words.headline(device_samples.device())
    assert said.startswith("Tesla V100-DGXS-32GB was busy 70 % of 1.0 s")
    assert "6.0 % in communication" in said and "idle 30 % of the time, mostly because it waited for data" in said


@pytest.mark.parametrize("cause", device_words.IDLE_LABELS)
def test_every_cause_makes_a_sentence(cause: str) -> None:
    device = device_samples.device()
    device.idle_causes = {cause: device.idle_us}
    said = device_words.headline(device)
    assert said.endswith(".") and "  " not in said and "_" not in said


@pytest.mark.parametrize("part", device_words.LABELS)
def test_every_part_has_a_colour_of_its_own_kind(part: str) -> None:
    assert device_words.bucket(part) in palette.LIGHT_AND_DARK
    assert device_words.label(part) != part


def test_kernel_names_are_short() -> None:
    short = device_words.short_kernel
    long = "void at::native::vectorized_elementwise_kernel<4, at::native::AddFunctor<float> >(int, float)"
    assert short(long) == "vectorized_elementwise_kernel<AddFunctor…>"
    impl = "void at::native::vectorized_elementwise_kernel<4, at::native::GeluCUDAKernelImpl(at::Tensor&)>(int)"
    assert short(impl) == "vectorized_elementwise_kernel<GeluCUDAKernelImpl…>"
    assert short("void (anonymous namespace)::softmax_warp_forward<float, 10>(float*)") == "softmax_warp_forward<…>"
    assert short("ampere_fp16_s16816gemm_fp16_64x64_ldg8_f2f_stages_64x5_tn") == (
        "ampere_fp16_s16816gemm_fp16_64x64_ldg8_f2f_stages_64x5_tn"
    )
    assert short("Memcpy HtoD (Pageable -> Device)") == "Memcpy HtoD (Pageable -> Device)"
    assert short("Cijk_Ailk_Bljk_SB_MT64x64x16 [clone .kd]") == "Cijk_Ailk_Bljk_SB_MT64x64x16 [clone .kd]"
    assert short("<<<>>>") == "<…>" and short("<(") == "<("


def test_sites_are_short() -> None:
    assert device_words.short_site("/home/a/hub/model.py(74): run") == "model.py(74): run"
    assert device_words.short_site("C:\\work\\model.py(74): run") == "model.py(74): run"
    assert device_words.short_site("autograd::engine::evaluate_function: MmBackward0/x") == (
        "autograd::engine::evaluate_function: MmBackward0/x"
    )


def test_timeline_draws_every_cell_once() -> None:
    step = device_samples.timeline()
    figure = timeline(step)
    bars = [trace for trace in figure["data"] if trace["type"] == "bar"]
    assert sum(len(trace["x"]) for trace in bars) == sum(len(lane.start_us) for lane in step.lanes)
    assert {trace["marker"]["color"] for trace in bars} == {
        palette.variable(device_words.bucket(part)) for part in step.parts
    } - {palette.variable("copy")}
    hatched = [trace["name"] for trace in bars if "pattern" in trace["marker"]]
    assert hatched == ["Idle: waiting for data", "Idle: Python and framework"]


def test_half_empty_cell_is_paler_and_says_what_is_in_it() -> None:
    figure = timeline(device_samples.timeline())
    (elementwise,) = [trace for trace in figure["data"] if trace.get("name") == "Elementwise"]
    merged = next(at for at, said in enumerate(elementwise["customdata"]) if "9 short ones" in said[0])
    assert elementwise["marker"]["opacity"][merged] == pytest.approx(0.575, abs=0.01)
    assert "50 % filled" in elementwise["customdata"][merged][0]
    assert "Normalization 20.0 µs, Elementwise" in elementwise["customdata"][merged][1]


def test_rows_do_not_overlap() -> None:
    step = device_samples.timeline()
    figure = timeline(step)
    heights = sorted({y for trace in figure["data"] if trace["type"] == "bar" for y in trace["y"]})
    assert len(heights) == len(step.lanes)
    assert all(b - a >= 1 for a, b in pairwise(heights))
    low, high = figure["layout"]["yaxis"]["range"]
    assert high < heights[0] and heights[-1] < low


def test_steps_are_stacked_with_idle_on_top() -> None:
    steps = device_samples.device().steps
    assert steps is not None
    figure = by_step(steps)
    names = [trace["name"] for trace in figure["data"]]
    assert names.index("Convolution") < names.index("Copies") < names.index("Idle: waiting for data")
    for place, span_us in enumerate(steps.span_us):
        assert sum(trace["y"][place] for trace in figure["data"]) == pytest.approx(span_us / 1e3, rel=1e-3)


def test_memory_peak_is_marked() -> None:
    memory = device_samples.memory()
    figure = memory_curve(memory)
    peak = figure["data"][-1]
    assert peak["y"][0] == pytest.approx(memory.peak_bytes / 2**30, abs=1e-3)
    assert max(max(trace["y"]) for trace in figure["data"] if trace["name"] == "allocated") == peak["y"][0]


def test_page_shows_partition_gaps_and_tables(page: str) -> None:
    for section in ("device", "device-step", "kernels", "transfers", "ranks", "memory"):
        assert f'<section id="{section}">' in page
    for words in (
        "Queue drained by",
        "cudaStreamSynchronize",
        "Host → device, pageable",
        "7.71 GB/s",
        "Rank 0 comes last in 71 of 80 collectives",
        "not all of its ranks were recorded",
        "not on tensor cores",
        "3 of 4 ranks were recorded",
        "Step 18 is cut off",
    ):
        assert words in page, words
    assert page.count('class="small bad">straggler') == 1


def test_device_section_is_small(page: str) -> None:
    charts = len(html.embedded(device_figures(device_samples.device())))
    sections = page[page.index('<section id="device">') : page.index('<section id="ops">')]
    assert charts + len(sections) < 200_000


def test_document_without_the_later_keys() -> None:
    """What the contract holds is enough for the first section."""
    document = samples.on_device()
    whole = document.device
    assert whole is not None
    document.device = type(whole)(**{name: getattr(whole, name) for name in whole.__struct_fields__[:8]})
    page = html.render(document)
    assert '<section id="device">' in page
    for section in ("device-step", "kernels", "transfers", "ranks", "memory"):
        assert f'id="{section}"' not in page
    assert "device-step" not in figures.figures(document)


@pytest.mark.parametrize("render", [text.render, markdown.render])
def test_summary_has_a_line_for_the_device(render: object) -> None:
    said = " ".join(render(samples.on_device()).split())  # type: ignore[operator]
    assert "was busy 70 % of 1.0 s" in said and "convolution 31 %" in said


def test_hostile_device_stays_text() -> None:
    drawn = device_figures(cleaned(device_samples.hostile(samples.ATTACKS)))
    written = html.embedded(drawn)
    assert not set("<>&") & set(written)
    assert "device-step" in drawn
    assert not re.search(r"<(?!/?b>|br>|/?extra>)", stdlib_json.dumps(drawn))


def test_the_table_of_the_memory_has_the_largest_values_and_survives_short_columns():
    curve = device_samples.memory()
    rows = device_page.memory_rows(curve)
    assert len(rows) <= device_page.MEMORY_ROWS
    assert quantities.memory(curve.peak_bytes) in {allocated for _, allocated, _ in rows}
    assert device_page.memory_rows(msgspec.structs.replace(curve, allocated_bytes=[])) == []
    unknown = msgspec.structs.replace(curve, reserved_bytes=[-1] * 100)
    assert {reserved for *_, reserved in device_page.memory_rows(unknown)} == {quantities.NOTHING}


def test_the_memory_chart_marks_steps():
    curve = msgspec.structs.replace(device_samples.memory(), steps_us=[1e3, 5e5])
    assert [mark["x0"] for mark in memory_curve(curve)["layout"]["shapes"]] == [1.0, 500.0]
