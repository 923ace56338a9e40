"""How often the background thread samples."""

from __future__ import annotations

import pytest

from slowprobe.capture.pulse import EARLY_SHARE, LATER_SHARE, LONGEST_PERIOD_S, PERIOD_S, period_s, settled, usual


def rates(costs_s: list[tuple[float, float]]) -> list[int]:
    """Samples in each of the stretches (seconds, cost of a sample), which follow one another."""
    cost_s, counts = 0.0, []
    for seconds, each_s in costs_s:
        passed_s, count = 0.0, 0
        while passed_s < seconds:
            gap_s = period_s(cost_s, 0.0)
            cost_s = settled(cost_s, each_s, gap_s)
            passed_s, count = passed_s + gap_s, count + 1
        counts.append(count)
    return counts


def test_a_loop_is_sampled_at_its_own_rate_soon_after_dear_imports() -> None:
    """Deep stacks of 700 µs for eight seconds, then 200 µs: the loop's first two seconds get what 200 µs allow."""
    _, loop = rates([(8.0, 700e-6), (2.0, 200e-6)])
    assert loop >= 0.7 * 2.0 * EARLY_SHARE / 200e-6


def test_samples_keep_within_their_share() -> None:
    (count,) = rates([(15.0, 120e-6)])
    assert count * 120e-6 <= 1.1 * EARLY_SHARE * 15.0


def test_one_dear_sample_among_many_changes_little() -> None:
    cost_s = settled(60e-6, 600e-6, period_s(60e-6, 0.0))
    assert cost_s < 2 * 60e-6


def test_the_period_stays_within_its_bounds() -> None:
    assert period_s(0.0, 0.0) == PERIOD_S and period_s(1.0, 0.0) == LONGEST_PERIOD_S
    assert period_s(150e-6, 100.0) == pytest.approx(EARLY_SHARE / LATER_SHARE * period_s(150e-6, 0.0))


def test_a_single_dear_sample_does_not_make_the_next_ones_rare() -> None:
    """One of 4 ms among those of 80 µs; three dear ones in a row do count."""
    assert usual([80e-6]) == 80e-6
    assert usual([80e-6, 4e-3, 90e-6]) == 90e-6
    assert usual([4e-3, 80e-6, 4e-3]) == 4e-3
