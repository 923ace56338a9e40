from __future__ import annotations

import math

import pytest

from slowprobe.diagnose.finding import Range
from slowprobe.report import quantities as q
from slowprobe.report.untrusted import clean


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 s"),
        (3e-9, "< 1 µs"),
        (0.0000382, "38.2 µs"),
        (0.0907, "90.7 ms"),
        (1.0, "1.0 s"),
        (61.44, "61.4 s"),
        (200, "3 min 20 s"),
        (90_000, "25 h 00 min"),
        (math.nan, "–"),
        (-math.inf, "–"),
    ],
)
def test_seconds(value: float, shown: str) -> None:
    assert q.seconds(value) == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(0, "0 %"), (0.0001, "< 0.1 %"), (0.041, "4.1 %"), (0.5, "50 %"), (math.nan, "–")]
)
def test_percent(share: float, shown: str) -> None:
    assert q.percent(share) == shown


@pytest.mark.parametrize(("value", "shown"), [(1.012, "1.01×"), (1.88, "1.9×"), (12.3, "12×"), (math.inf, "–")])
def test_factor(value: float, shown: str) -> None:
    assert q.factor(value) == shown


def test_span_of_one_figure() -> None:
    assert q.span(Range(1.81, 1.82, 1.83)) == "1.8×"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (True, "yes"), (1234567, "1,234,567"), (10**400, "very large"), ([1, 2.5], "1, 2.50")],
)
def test_fact(value: object, shown: str) -> None:
    assert q.fact(value) == shown


def test_clean_shows_what_would_hide() -> None:
    assert clean("a\x00b\x1b[1m\u202egpj\ud800\x7f") == "a␀b␛[1m[U+202E]gpj\ufffd␡"
    assert clean("line\n\tnext") == "line\n\tnext"
    assert clean("x" * 50, 10) == "xxxxxxxxxx… (40 more characters)"
