from __future__ import annotations

import json as stdlib_json
import math

import pytest

from slowprobe.errors import BadInputError
from slowprobe.report import json

from . import samples


@pytest.mark.parametrize("build", [samples.input_bound, samples.healthy, samples.no_steps])
def test_round_trip(build: object) -> None:
    document = build()  # type: ignore[operator]
    assert json.load(json.render(document)) == document


def test_keys_come_in_the_order_of_the_contract() -> None:
    keys = list(stdlib_json.loads(json.render(samples.healthy())))
    assert keys[:6] == ["schema", "slowprobe_version", "run", "verdict", "steps", "time"]


def test_numbers_that_are_none_become_null_and_come_back() -> None:
    document = samples.input_bound(5)
    assert document.steps is not None
    document.steps.p99_ms = math.nan
    document.time.buckets[0].seconds = math.inf
    text = json.render(document)
    assert stdlib_json.loads(text)["steps"]["p99_ms"] is None
    again = json.load(text)
    assert again.steps is not None and math.isnan(again.steps.p99_ms)
    assert math.isnan(again.time.buckets[0].seconds)
    assert again.loaders[0].fetch_s == 23.4 and again.loaders[0].prefetch_factor is None


def test_hostile_document_is_strict_json() -> None:
    document = samples.hostile()
    document.findings = document.findings[:1]
    text = json.render(document)
    text.encode()
    stdlib_json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert json.render(json.load(text)) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not a slowprobe report"),
        ("[]", "schema None"),
        ('{"schema": "slowprobe.report/9"}', "'slowprobe.report/9'"),
        ('{"schema": "slowprobe.report/1"}', "not a complete slowprobe report"),
    ],
)
def test_what_is_not_a_report_is_said_clearly(text: str, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        json.load(text)
