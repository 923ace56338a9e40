"""Inversion of seismic gathers: from what the receivers hear of a shot to the reflectivity of the layers below."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Survey:
    receivers: int = 400
    layers: int = 300
    width: int = 48
    shots: int = 128
    pool: int = 8192
    steps: int = 2400
    rate: float = 3e-4


def simulate(survey: Survey) -> tuple[Tensor, Tensor]:
    """Reflectivities, sparse, and the traces that they leave at the surface."""
    earth = torch.randn(survey.pool, survey.layers) * (torch.rand(survey.pool, survey.layers) < 0.15)
    spread = (
        torch.arange(survey.receivers)[None] / survey.receivers - torch.arange(survey.layers)[:, None] / survey.layers
    )
    wavelet = (1 - 2 * (40 * spread) ** 2) * torch.exp(-((40 * spread) ** 2))
    traces = earth @ wavelet
    return traces + 0.02 * torch.randn_like(traces), earth


def inverter(survey: Survey) -> nn.Module:
    return nn.Sequential(
        nn.Linear(survey.receivers, survey.width),
        nn.GELU(approximate="tanh"),
        nn.Linear(survey.width, survey.width),
        nn.GELU(approximate="tanh"),
        nn.Linear(survey.width, survey.layers),
    )


def fit(survey: Survey) -> float:
    traces, earth = simulate(survey)
    model = inverter(survey)
    optimizer = torch.optim.AdamW(model.parameters(), survey.rate, fused=True)
    begin = time.perf_counter()
    for step in range(survey.steps):
        rows = torch.randint(survey.pool, (survey.shots,))
        guess = model(traces[rows])
        loss = nn.functional.smooth_l1_loss(guess.float(), earth[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if step % 600 == 599:
            print(f"{step + 1:5d}  misfit {loss.item():.4f}")
    return time.perf_counter() - begin


if __name__ == "__main__":
    torch.manual_seed(20)
    print(f"loop_seconds={fit(Survey()):.3f}")
