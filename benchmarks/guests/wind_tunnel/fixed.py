"""Angle of attack from the pressure taps of a wing. The logger of the tunnel writes one row for each tap."""

import time

import torch
import torch.nn.functional as F

TAPS, SHOTS, ANGLES = 2048, 20_480, 3


def tunnel_run(seed):
    draw = torch.Generator().manual_seed(seed)
    angles = torch.randn(SHOTS, ANGLES, generator=draw)
    mode = torch.randn(TAPS, ANGLES, generator=draw)
    log = torch.empty(TAPS, SHOTS)
    for tap, row in enumerate(log):
        row.copy_(torch.tanh(angles @ mode[tap]) + 0.1 * torch.randn(SHOTS, generator=draw))
    return log, angles


def make_step(log, angles, width=24, rate=0.02):
    gain = 1 / log.shape[1] ** 0.5
    enter = (gain * torch.randn(width, log.shape[1])).requires_grad_()
    leave = (width**-0.5 * torch.randn(ANGLES, width)).requires_grad_()
    optimizer = torch.optim.SGD([enter, leave], rate, momentum=0.9, fused=True)

    def step(shots):
        taps = log[shots]
        loss = F.mse_loss(F.linear(torch.tanh(F.linear(taps, enter)), leave), angles[shots])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


torch.manual_seed(21)
log, angles = tunnel_run(21)
log = log.t().contiguous()
step = make_step(log, angles)

clock = time.perf_counter()
for epoch in range(6):
    losses = [step(shots) for shots in torch.randperm(SHOTS).split(96)]
    print(f"epoch {epoch}: {torch.stack(losses).mean():.4f}")
print(f"loop_seconds={time.perf_counter() - clock:.3f}")
