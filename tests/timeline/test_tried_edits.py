from __future__ import annotations

import pytest

from slowprobe.timeline.tried_edits import columns_left, tried_edit


def costs(name, now, edited, tried=8.0, every=10.0):
    values = {"now_ms": now, "edited_ms": edited, "tried_ms": tried, "all_ms": every, "of_all": 0.5}
    return {f"operators.{name}.{key}": value for key, value in values.items()}


def test_what_an_edit_leaves_with_its_range():
    tried = tried_edit(costs("single", 4.0, 2.0), "single")
    assert tried is not None and tried.left == 0.5 and tried.of_all == 0.5
    assert tried.factor.best == pytest.approx(0.375) and tried.factor.worst == pytest.approx(0.5 + 0.5 * 0.35)


def test_too_few_of_the_operators_or_none():
    assert tried_edit(costs("single", 4.0, 2.0, tried=2.0), "single") is None
    assert tried_edit({}, "single") is None


@pytest.mark.parametrize(("part", "left"), [(1.0, 1.0), (0.75, 0.7), (0.5, 0.4), (0.25, 0.2), (0.125, 0.1)])
def test_columns_between_those_that_were_tried(part, left):
    both = {**costs("half", 10.0, 4.0), **costs("quarter", 10.0, 2.0)}
    assert columns_left(both, part) == pytest.approx(left)


def test_columns_that_were_not_tried():
    assert columns_left(costs("half", 10.0, 4.0), 0.5) is None
