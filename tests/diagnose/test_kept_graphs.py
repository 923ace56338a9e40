"""Statements that keep a step's graph, by the source of the loop alone."""

from __future__ import annotations

import pytest
from synthetic import SCRIPT, SyntheticRun

from slowprobe.diagnose.kept_graphs import kept_graphs
from slowprobe.run.record import Site

LOOP = """\
import torch
from torch import nn
{defined}
criterion = nn.MSELoss()
for step, (x, y) in enumerate(loader):
    x = x.to(device)
    noise = torch.randn(4)
    hidden = model.encode(x)
    outputs = model(x + noise)
    loss = criterion(outputs, y) + hidden.sum()
    {backward}
    {keeps}
print(model.parameters())
"""
METER = """\
class Meter:
    def update(self, value):
        scaled = value / 10
        self.values.append(scaled)
    def note(self, value):
        self.update(value)
    def show(self, value):
        text = [value]
        text.append(value)
    def plain(self, value):
        value = value.detach()
        self.values.append(value)
    def rows(self, step, **values):
        for name, value in values.items():
            self.kept[name].append(value)
def remember(value):
    HISTORY.append(value)
def into(where, value):
    where.append(value)
def get_noise(rows):
    return torch.randn(rows)
"""


def found(tmp_path, keeps: str, backward: str = "loss.backward()", source: str = LOOP):
    run = SyntheticRun(tmp_path, source.format(defined=METER, backward=backward, keeps=keeps))
    run.forward(4.0, 2)
    run.backward(8.0, run.line("backward"))
    evidence = run.evidence()
    kept = kept_graphs(evidence.source, Site(SCRIPT, run.line("backward"), "<module>"))
    return [each.detached(evidence.source).partition("\n+")[2] for each in kept], kept


@pytest.mark.parametrize(
    ("line", "edited"),
    [
        ("total += loss / 10", "total += loss.detach() / 10"),
        ("total = 0.9 * total + 0.1 * loss", "total = 0.9 * total + 0.1 * loss.detach()"),
        ("losses.append((step, loss))", "losses.append((step, loss.detach()))"),
        ("seen.extend([outputs[:4], x])", "seen.extend([outputs[:4].detach(), x])"),
        ("history[step] = {'loss': loss, 'out': outputs.logits}",
         "history[step] = {'loss': loss.detach(), 'out': outputs.logits.detach()}"),
        ("codes.add(hidden)", "codes.add(hidden.detach())"),
        ("losses.append(loss.cpu())", "losses.append(loss.detach().cpu())"),
        ("meter.update(loss)", "meter.update(loss.detach())"),
        ("meter.note(value=loss)", "meter.note(value=loss.detach())"),
        ("meter.rows(step, loss=loss.item(), out=outputs)", "meter.rows(step, loss=loss.item(), out=outputs.detach())"),
        ("remember(outputs)", "remember(outputs.detach())"),
        ("into(losses, loss)", "into(losses, loss.detach())"),
        ("losses.append(('\u00e4\u00f6', loss))", "losses.append(('\u00e4\u00f6', loss.detach()))"),
    ],
)  # fmt: skip
def test_kept(tmp_path, line, edited):
    diffs, _ = found(tmp_path, line)
    assert len(diffs) == 1
    assert diffs == [edited]


@pytest.mark.parametrize(
    "line",
    [
        "total += loss.item()",
        "losses.append(float(loss))",
        "losses.append(loss.detach().cpu())",
        "losses.append(outputs.shape)",
        "seen.append(x)",
        "seen.append(noise)",
        "last['loss'] = loss",
        "self.last = loss",
        "parts = []; parts.append(loss)",
        "meter.show(loss)",
        "meter.rows(step, loss=loss.item())",
        "meter.plain(loss)",
        "loss = loss.item(); losses.append(loss)",
        "meter.unknown(loss)",
    ],
)
def test_not_kept(tmp_path, line):
    source = LOOP if "; losses" not in line else LOOP.replace("    {keeps}", "    loss = loss.item()\n    {keeps}")
    assert found(tmp_path, line.rpartition("item(); ")[2], source=source)[0] == []


def test_what_backward_does_not_need_may_hold_a_graph_too(tmp_path):
    source = LOOP.replace("    outputs = ", "    outputs, state = ").replace(
        "    {keeps}", "    spread = (state - 1).square().mean()\n    {keeps}"
    )
    assert found(tmp_path, "seen.append(spread)", source=source)[0] == ["seen.append(spread.detach())"]
    quiet = source.replace("    spread =", "    with torch.no_grad():\n      spread =")
    assert found(tmp_path, "seen.append(spread)", source=quiet)[0] == []


def test_the_line_in_the_method_is_told(tmp_path):
    _, kept = found(tmp_path, "meter.note(loss)")
    assert kept[0].inner is not None
    assert kept[0].inner.line == 6  # self.values.append(scaled)


@pytest.mark.parametrize(
    "backward", ["(loss / 4).backward()", "scaler.scale(loss).backward()", "accelerator.backward(loss)"]
)
def test_ways_to_call_backward(tmp_path, backward):
    assert found(tmp_path, "losses.append(loss)", backward)[0] == ["losses.append(loss.detach())"]


def test_a_sum_without_grad_has_no_graph_and_what_is_appended_there_has(tmp_path):
    source = LOOP.replace("    {keeps}", "    with torch.no_grad():\n        {keeps}")
    assert found(tmp_path, "total += loss", source=source)[0] == []
    assert found(tmp_path, "losses.append(loss)", source=source)[0] == ["losses.append(loss.detach())"]


def test_a_function_that_trains_one_step_and_sums_up_on_an_attribute(tmp_path):
    source = "def step(self, x):\n    loss = self.model(x).mean()\n    {backward}\n    {keeps}\n#{defined}"
    run = source.replace("#{defined}", "")
    assert found(tmp_path, "self.total += loss", source=run)[0] == ["self.total += loss.detach()"]


def test_all_statements_that_keep(tmp_path):
    diffs, _ = found(tmp_path, "losses.append(loss)\n    total += loss")
    assert len(diffs) == 2


def test_a_batch_from_a_function_has_no_graph(tmp_path):
    source = LOOP.replace("    noise = torch.randn(4)", "    noise = get_noise(4)")
    assert found(tmp_path, "seen.append(noise)", source=source)[0] == []
