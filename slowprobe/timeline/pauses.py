"""How much of a step's time is due to the pause before it, as measured after the run on a stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


# What a pause costs grows with the code and data that a step goes through, up to the size of the caches. Measured after
# 10 ms: steps of 1.6, 2.3, 7 and 11 times the stand-in (layers with SGD and AdamW, convolutions, attention) lost 1.5,
# 1.7, 2.3 and 2.2 times as much as it.
MOST = 2.3


@dataclass(frozen=True)
class Pauses:
    """Seconds that the stand-in, and with it a step, takes longer after a pause, by the pause's length."""

    stand_in_s: float = 1.0
    lengths_s: tuple[float, ...] = (0.0,)
    longer_s: tuple[float, ...] = (0.0,)

    def after(self, step_s: Floats, pause_s: float) -> Floats:
        """Steps that follow one another, as they would be after pauses."""
        times = step_s / self.stand_in_s
        return step_s + self._longer(pause_s) * MOST * times / (MOST - 1 + times)

    def without(self, step_s: Floats, pause_s: float) -> Floats:
        """Steps that were recorded after pauses, as they would be right after one another: the inverse of `after`."""
        base, flat = self.stand_in_s, MOST - 1
        half = (base * flat + self._longer(pause_s) * MOST - step_s) / (2 * base)
        return base * (np.sqrt(half**2 + step_s * flat / base) - half)

    def _longer(self, pause_s: float) -> float:
        return float(np.interp(pause_s, self.lengths_s, self.longer_s))


def pauses_of(costs: Mapping[str, float]) -> Pauses:
    """What `capture.pauses` measured; without it pauses cost nothing."""
    tried = sorted(
        (float(name.removeprefix("pause.").removesuffix("_ms")), ms)
        for name, ms in costs.items()
        if name.startswith("pause.")
    )
    if not tried or tried[0][0] > 0 or tried[0][1] <= 0:
        return Pauses()
    base = tried[0][1]
    longer = np.maximum.accumulate([max(0.0, ms - base) / 1e3 for _, ms in tried])
    return Pauses(base / 1e3, tuple(pause / 1e3 for pause, _ in tried), tuple(float(each) for each in longer))
