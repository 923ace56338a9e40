"""How much rarer something has to be done to cost little."""

from __future__ import annotations

import math


def times_rarer(spent_s: float, rest_s: float, target_share: float) -> int:
    """How many times rarer, to take `target_share` of the rest: rounded up to 1, 2 or 5 times 10, 100, …."""
    if rest_s <= 0:
        return 2
    times = spent_s / (target_share * rest_s)
    magnitude: int = 10 ** math.floor(math.log10(max(times, 1.0)))
    return int(next(digit * magnitude for digit in (1, 2, 5, 10) if digit * magnitude >= times))
