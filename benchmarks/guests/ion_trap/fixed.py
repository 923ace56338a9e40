"""Voltages that carry an ion through a trap without heating it, found by differentiating a simulated flight."""

import contextlib
import time
from dataclasses import dataclass, field

import torch


@dataclass
class Settings:
    stage: str = "campaign"
    ions: int = 64
    ticks: int = 60
    rounds: int = 110
    rate: float = 3e-3
    guards: dict = field(
        default_factory=lambda: {
            "bring-up": torch.autograd.detect_anomaly,
            "campaign": contextlib.nullcontext,
        }
    )


class Driver(torch.nn.Module):
    def __init__(self, hidden=32, electrodes=6):
        super().__init__()
        self.look = torch.nn.Linear(3, hidden)
        self.push = torch.nn.Linear(hidden, electrodes)
        self.register_buffer("seat", torch.linspace(-1, 1, electrodes))

    def field_at(self, place, speed, when):
        volts = self.push(torch.tanh(self.look(torch.stack([place, speed, when.expand_as(place)], 1))))
        pull = self.seat - place[:, None]
        return (volts * pull * torch.exp(-4 * pull * pull)).sum(1)


def fly(driver, settings):
    place = 0.1 * torch.randn(settings.ions) - 0.8
    speed = 0.05 * torch.randn(settings.ions)
    for when in torch.linspace(0, 1, settings.ticks):
        speed = speed + 0.05 * driver.field_at(place, speed, when)
        place = place + 0.05 * speed
    return (place - 0.8).square().mean() + speed.square().mean()


def main(settings):
    torch.manual_seed(17)
    driver = Driver()
    optimizer = torch.optim.Adam(driver.parameters(), settings.rate, fused=True)
    guard = settings.guards[settings.stage]
    heats = []
    start = time.perf_counter()
    for _ in range(settings.rounds):
        with guard():
            heat = fly(driver, settings)
            optimizer.zero_grad()
            heat.backward()
        optimizer.step()
        heats.append(heat.detach())
    print(f"heat {heats[0]:.4f} -> {heats[-1]:.4f}")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main(Settings())
