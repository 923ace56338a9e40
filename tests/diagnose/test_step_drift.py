from __future__ import annotations

import pytest
from synthetic import SCRIPT, SyntheticRun

from diagnose.asking import ask
from slowprobe.diagnose.growing_names import growing_at
from slowprobe.run.record import Site

SOURCE = """\
losses = []
for x in loader:
    net(x).backward()
    optimizer.step()
    losses.append(loss.item())
    mean = sum(losses) / len(losses)
"""
RULE = "step-drift"
STEPS = 200


def record(tmp_path, python_ms, forward_ms=4.0, optimizer_ms=1.0, source=SOURCE, line="sum(", backward_ms=8.0):
    """Each `…_ms`: a number, or what it is at a place in the run (0 to 1)."""
    run = SyntheticRun(tmp_path, source, chunk_ms=200.0)
    loader = run.loader(1)

    def at(what, place):
        return what(place) if callable(what) else what

    with run.epoch(loader):
        for step in range(STEPS):
            place = (step + 0.5) / STEPS
            run.batch(loader, 1.0, 0.1)
            run.forward(at(forward_ms, place))
            run.backward(at(backward_ms, place), run.line(".backward("))
            run.optimizer(at(optimizer_ms, place))
            run.python(at(python_ms, place), run.line(line))
    return run.evidence()


def test_slow_names_the_list_that_grows(tmp_path):
    verdict = ask(RULE, record(tmp_path, lambda place: 1 + 9 * place))
    assert verdict.saved_s == pytest.approx(STEPS * 4.5e-3, rel=0.05)  # half of what it comes to at the end
    assert verdict.lines == [6]
    assert verdict.diagnosis.title == "Steps get slower: losses grows"
    assert verdict.diagnosis.fix.diff.startswith("-losses = []\n+losses = collections.deque(maxlen=1000)")
    assert verdict.diagnosis.evidence["more for every 1,000 steps, ms"] == pytest.approx(45, rel=0.02)


def test_a_running_mean_passes(tmp_path):
    assert ask(RULE, record(tmp_path, 1.0)).status == "passed"


def test_a_graph_that_is_kept(tmp_path):
    source = SOURCE.replace(".backward()", ".backward(retain_graph=True)")
    verdict = ask(RULE, record(tmp_path, 1.0, source=source, backward_ms=lambda place: 8 + 10 * place))
    assert verdict.saved_s == pytest.approx(STEPS * 5e-3, rel=0.1)
    assert "detach" in verdict.diagnosis.fix.diff and verdict.lines == [3]


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        (
            {"forward_ms": lambda p: 4 + 4 * p, "backward_ms": lambda p: 8 + 8 * p},
            "nothing in the source",
        ),  # curriculum
        (
            {
                "python_ms": lambda p: 1 + p,
                "forward_ms": lambda p: 4 + 4 * p,
                "backward_ms": lambda p: 8 + 8 * p,
                "optimizer_ms": lambda p: 1 + p,
            },
            "alike",
        ),
        ({"python_ms": lambda p: 1 if p < 0.5 else 11}, "not steadily"),
        ({"python_ms": lambda p: 1 + 0.5 * p}, "changes by"),
    ],
)
def test_what_gets_slower_for_another_reason_passes(tmp_path, times, reason):
    """Near misses: larger batches, a slower machine, one jump, next to nothing."""
    verdict = ask(RULE, record(tmp_path, **{"python_ms": 1.0, **times}))
    assert verdict.status == "passed" and reason in verdict.outcome.reason, verdict.outcome


def test_a_growing_line_that_reads_nothing_growing_passes(tmp_path):
    """Near miss: episodes get longer, say; no name on the line is made longer in the loop."""
    source = SOURCE.replace("sum(losses) / len(losses)", "play(environment)")
    verdict = ask(RULE, record(tmp_path, lambda place: 1 + 9 * place, source=source, line="play("))
    assert verdict.status == "passed" and "nothing in the source" in verdict.outcome.reason


def test_few_steps_are_not_judged(tmp_path):
    run = SyntheticRun(tmp_path, SOURCE)
    loader = run.loader(1)
    with run.epoch(loader):
        for step in range(20):
            run.batch(loader, 1.0)
            run.train()
            run.python(step, 6)
    assert ask(RULE, run.evidence()).status == "not-checked"


LOOP = "def train():\n    kept = {made}\n    for x in loader:\n        loss.backward()\n{body}"


@pytest.mark.parametrize(
    ("made", "body", "line", "found"),
    [
        ("[]", "        kept.append(x)\n        mean(kept)", 6, "kept"),
        ("[]", "        kept.append(x)", 5, None),  # an append alone takes no longer
        ("x0", "        kept = torch.cat([kept, x])", 5, "kept"),
        ("[]", "        kept += [x]\n        torch.stack(kept)", 6, "kept"),
        ("deque(maxlen=9)", "        kept.append(x)\n        mean(kept)", 6, None),
        ("[]", "        kept.append(x)\n        mean(kept)\n        kept.pop(0)", 6, None),
        ("[]", "        kept.append(x)\n        kept = kept[-9:]\n        mean(kept)", 7, None),
        ("0", "        kept = []\n        kept.append(x)\n        mean(kept)", 7, None),  # a list of this turn's
        ("0", "        kept = f(x)\n        kept = torch.cat([kept, x])", 6, None),  # features of this turn's
    ],
)
def test_what_grows(tmp_path, made, body, line, found):
    run = SyntheticRun(tmp_path, LOOP.format(made=made, body=body))
    growing = growing_at(run.evidence().source, [Site(SCRIPT, line, "train")])
    assert (growing and growing.name) == found


def test_what_is_handed_to_a_helper(tmp_path):
    source = "def mean(values):\n    return sum(values) / len(values)\n" + LOOP.format(
        made="[]", body="        kept.append(x)\n        m = mean(kept)"
    )
    evidence = SyntheticRun(tmp_path, source).evidence()
    stack = [Site(SCRIPT, 2, "mean"), Site(SCRIPT, 8, "train")]
    growing = growing_at(evidence.source, stack)
    assert growing is not None and growing.name == "kept" and growing.made == Site(SCRIPT, 4, "")


def test_features_joined_in_forward_are_not_kept(tmp_path):
    source = "class Net:\n    def forward(self, x):\n        x = torch.cat([x, self.skip(x)], 1)\n        return x\n"
    evidence = SyntheticRun(tmp_path, source).evidence()
    assert growing_at(evidence.source, [Site(SCRIPT, 3, "Net.forward")]) is None


def test_a_dataset_that_keeps_what_it_has_seen(tmp_path):
    source = """\
class Images:
    def __init__(self):
        self.seen = []

    def __getitem__(self, index):
        self.seen.append(index)
        return sum(self.seen)
"""
    run = SyntheticRun(tmp_path, source, chunk_ms=200.0)
    loader = run.loader(None)
    with run.epoch(loader):
        for step in range(STEPS):
            fetch_ms = 1 + 10 * step / STEPS
            run.batch(loader, fetch_ms, fetch_lines={7: fetch_ms})
            run.train()
    verdict = ask(RULE, run.evidence())
    assert verdict.lines == [7] and verdict.diagnosis.title == "Steps get slower: self.seen grows"
    assert verdict.saved_s == pytest.approx(STEPS * 5e-3, rel=0.1)
