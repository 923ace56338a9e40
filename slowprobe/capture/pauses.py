"""How much longer a training step takes after a pause than right after another one.

While something else runs for a few milliseconds (a batch made in Python, a sleep, another process on the core) the
caches lose the step's code and data. A small stand-in for a step, of 0.3 ms, took 0.1 ms
longer after 2 ms, and 0.6 ms longer after 10 ms (AMD EPYC, 1 MB of L2 cache a core). The rules of `calibration` hold:
no user code, no random numbers, nothing left changed.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

PAUSES_MS = (0.0, 0.3, 1.0, 3.0, 10.0)
ROUNDS, WARM_UPS = 9, 5
SETTLES = 4  # steps; the second after a pause of 10 ms still took twice as long as those that follow
ITEMS, INPUTS, WIDTH = 32, 128, 64


def try_pauses(torch: Any, until: float) -> dict[str, float]:
    """Median milliseconds of the stand-in after each pause: ``pause.<ms>_ms``; one round takes some 20 ms."""
    step = _stand_in(torch)
    spent: dict[float, list[float]] = {pause: [] for pause in PAUSES_MS}
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        for _ in range(WARM_UPS):
            step()
        while not spent[0.0] or (len(spent[0.0]) < ROUNDS and time.perf_counter() < until):
            for pause in PAUSES_MS:
                for _ in range(0 if pause else SETTLES):  # what comes before it is a step, not a pause
                    step()
                resumed = time.perf_counter() + pause / 1e3
                while time.perf_counter() < resumed:
                    pass
                begin = time.perf_counter()
                step()
                spent[pause].append((time.perf_counter() - begin) * 1e3)
    return {f"pause.{pause:g}_ms": statistics.median(times) for pause, times in spent.items()}


def _stand_in(torch: Any) -> Any:
    """Forward, backward and update of two layers."""
    functional = torch.nn.functional

    def full(*dims: int, trained: bool = True) -> Any:
        return torch.full(dims, 0.01, dtype=torch.float32, device="cpu", requires_grad=trained)

    weights = [full(WIDTH, INPUTS), full(WIDTH), full(1, WIDTH), full(1)]
    values, wanted = full(ITEMS, INPUTS, trained=False), full(ITEMS, 1, trained=False)

    def step() -> None:
        hidden = functional.relu(functional.linear(values, weights[0], weights[1]))
        loss = functional.mse_loss(functional.linear(hidden, weights[2], weights[3]), wanted)
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            torch._foreach_add_(weights, gradients, alpha=-1e-3)

    return step
