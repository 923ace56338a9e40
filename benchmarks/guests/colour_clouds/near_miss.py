"""Give one film the colours of another: a little network moves each pixel towards its like."""

import time

import torch

torch.manual_seed(5)
PIXELS, WIDTH, ROUNDS = 384, 32, 2500

palette = torch.rand(6, 3)
film = (palette[torch.randint(6, (40_000,))] + 0.05 * torch.randn(40_000, 3)).clamp(0, 1)
model_film = torch.rand(40_000, 3).sqrt() * torch.tensor([1.0, 0.8, 0.6])

grade = torch.nn.Sequential(torch.nn.Linear(3, WIDTH), torch.nn.Tanh(), torch.nn.Linear(WIDTH, 3))
optimizer = torch.optim.Adam(grade.parameters(), 5e-3, fused=True)


def nearest(a, b, sharp=30):
    close = torch.addmm(-sharp * b.square().sum(1), a, b.t(), alpha=2 * sharp)
    return close.softmax(1) @ b


started = time.perf_counter()
for turn in range(ROUNDS):
    here = film[torch.randint(len(film), (PIXELS,))]
    there = model_film[torch.randint(len(model_film), (PIXELS,))]
    moved = here + grade(here)
    loss = (moved - nearest(moved, there)).square().mean() + 0.1 * (moved - here).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if turn % 500 == 0:
        print(f"{turn:3d} apart {loss.item():.5f}")
print(f"loop_seconds={time.perf_counter() - started:.3f}")
