"""What the report says of a loop that computes at its machine's rate."""

from __future__ import annotations

from dataclasses import replace

import pytest
from diagnose.kernels import convolution, product, work
from diagnose.operators import op_stat, with_ops
from synthetic import SyntheticRun

from report import samples
from slowprobe.report import html, markdown, text
from slowprobe.report.reach import reach


def evidence(tmp_path, *layers, bf16="avx512_bf16", reach_gflops=50.0, threads=8):
    run = SyntheticRun(tmp_path, "net(x).backward()\n")
    run.settings(num_threads=threads)
    for _ in range(20):
        run.forward(12.0, 1)
        run.backward(28.0, 1)
    found = with_ops(run.evidence(), [], 40.0, work=0.9, ops=(op_stat("aten::mul", 4),))
    vars(found)["kernels"] = work(*layers, step_ms=40.0, reach_gflops=reach_gflops)
    found.host["cpu_bf16"] = bf16
    return found


def test_the_rate_is_set_against_what_the_machine_reaches(tmp_path):
    shown = reach(evidence(tmp_path, product(10.0, 20.0, bf16=0.5)))
    assert shown.share == 0.75 and shown.gflops == pytest.approx(3 * 2 * 512**3 / 30e-3 / 1e9, rel=0.01)
    assert "75 % of a step" in shown.text and "54 % of the 50 that these threads reach" in shown.text
    assert shown.layers[0].name == "Product 512×512 by 512×512" and shown.layers[0].bf16 == 0.5


def test_what_remains_is_named_with_its_range(tmp_path):
    remains = reach(evidence(tmp_path, convolution(10.0, 20.0, bf16=0.5, channels_last=0.8, twice=0.9))).remains
    texts = {line.split(":")[0]: line for line in remains}
    assert list(texts) == ["Precision", "Layout", "torch.compile", "Batch size"]
    assert "50 % of their time (measured): a step 1.6× as fast" in texts["Precision"]
    assert "80 %" in texts["Layout"] and "stated range" in texts["torch.compile"]
    assert "90 % of their time then (measured)" in texts["Batch size"]


def test_idle_cores_and_missing_instructions_are_named(tmp_path):
    remains = reach(evidence(tmp_path, product(10.0, 20.0), bf16=None, threads=1)).remains
    assert any("no instructions for bfloat16" in line for line in remains)
    assert any(line.startswith("Threads: operators run on 1") for line in remains)


def test_a_low_rate_has_a_reason(tmp_path):
    layer = product(20.0, 16.0)  # 22 GFLOP/s; 50 alone
    shown = reach(evidence(tmp_path, layer, reach_gflops=100.0))
    assert "Alone they take 45 % of their time" in shown.text


def test_few_products_say_nothing(tmp_path):
    assert reach(evidence(tmp_path, product(2.0, 2.0))) is None


def test_unmeasured_promises_nothing(tmp_path):
    shown = reach(evidence(tmp_path, product(10.0, 20.0, tried=False), reach_gflops=None))
    assert shown.reach_gflops is None and shown.text.endswith("GFLOP/s.")
    assert "was not tried" in shown.remains[0]


def test_every_renderer_shows_it(tmp_path):
    document = samples.healthy()
    document.window.reach = reach(evidence(tmp_path, convolution(10.0, 20.0, bf16=0.5, channels_last=0.8)))
    assert "What the operators reach" in html.render(document) and "bfloat16 leaves" in html.render(document)
    for rendered in (text.render(document), markdown.render(document)):
        assert "What may still be won" in " ".join(rendered.split())


def test_a_loop_of_small_operators_names_what_starting_them_costs(tmp_path):
    found = evidence(tmp_path, product(1.0, 1.0))
    vars(found)["ops"] = replace(found.ops, bound="dispatch-bound")
    shown = reach(found)
    assert "fixed cost of starting" in shown.text and shown.layers == []
    assert shown.remains[0].startswith("Batch size")
    document = samples.healthy()
    document.window.reach = shown
    assert "fixed cost of starting" in html.render(document)
