from __future__ import annotations

import pytest
from synthetic import SyntheticRun

from diagnose.asking import ask
from diagnose.operators import with_ops

SOURCE = """\
import numpy as np
for images in data:
    values, vectors = np.linalg.eigh(images)
    net(images).backward()
    optimizer.step()
"""
RULE = "blas-threads"
STEPS = 50
PAIR = {"blas.threads": 2.0, "blas.busy": 0.6, "blas.call_ms": 4.0, "blas.after_ms": 4.0}
ALONE = {"blas.call_alone_ms": 0.1, "blas.after_alone_ms": 0.05}
APART = {"operators.apart.all_ms": 12.0, "operators.apart.tried_ms": 12.0, "operators.apart.now_ms": 3.0}


def record(tmp_path, source=SOURCE, **costs):
    """Steps of 6 ms in NumPy, 4 forward, 8 backward."""
    run = SyntheticRun(tmp_path, source)
    for _ in range(STEPS):
        run.python(6.0, 3)
        run.forward(4.0, 4)
        run.backward(8.0, 4)
        run.optimizer(0.2, 5)
    evidence = with_ops(run.evidence(), [], 18.2, work=0.6)
    vars(evidence)["costs"] = {**PAIR, **ALONE, **APART, **costs}
    return evidence


def test_slow_saves_what_operators_take_less_alone_and_what_calls_lose(tmp_path):
    verdict = ask(RULE, record(tmp_path))
    assert verdict.lines == [3]
    assert 'os.environ["OPENBLAS_NUM_THREADS"] = "1"' in verdict.diagnosis.fix.diff
    assert STEPS * 6.0 / 1000 < verdict.saved_s < STEPS * 18.2 / 1000


def test_lines_with_large_products_lose_no_more_than_operators_do(tmp_path):
    hardly = ask(RULE, record(tmp_path, **{"operators.apart.now_ms": 12.0}))
    much = ask(RULE, record(tmp_path))
    left = [verdict.diagnosis.changes[-1].factor.expected for verdict in (hardly, much)]
    assert left[0] > 0.5 > left[1]


def test_fixed_has_one_thread(tmp_path):
    assert ask(RULE, record(tmp_path, **{"blas.threads": 0.0})).status == "not-applicable"


def test_near_miss_products_before_training(tmp_path):
    verdict = ask(RULE, record(tmp_path, **{"blas.busy": 0.02}))
    assert verdict.status == "passed" and "2.0%" in verdict.outcome.reason


def test_a_blas_that_does_not_spin_passes(tmp_path):
    assert ask(RULE, record(tmp_path, **{"blas.call_ms": 0.1, "blas.after_ms": 0.07})).status == "passed"


def test_without_the_trial_it_is_not_checked(tmp_path):
    assert ask(RULE, record(tmp_path, **{"blas.after_ms": 0.0})).status == "not-checked"


@pytest.mark.parametrize("text", ["torch.linalg.eigh(images)", "rows.append(images)"])
def test_lines_of_torch_are_not_numpys(tmp_path, text):
    verdict = ask(RULE, record(tmp_path, SOURCE.replace("np.linalg.eigh(images)", text)))
    assert verdict.lines == [1]  # where NumPy is imported
