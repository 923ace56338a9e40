"""How high will the surge be in six hours? Dilated convolutions over the gauges of a coast, in functional style."""

import time

import torch
import torch.nn.functional as F
from torch.func import functional_call, grad_and_value

GAUGES, HOURS, UPDATES = 12, 64, 150


def coast(count, seed):
    draw = torch.Generator().manual_seed(seed)
    clock = torch.arange(HOURS + 6.0)
    phase = 6.28 * torch.rand(count, GAUGES, 1, generator=draw)
    storm = torch.randn(count, 1, HOURS + 6, generator=draw).cumsum(2) * 0.1
    level = torch.sin(clock / 1.98 + phase) + storm + 0.05 * torch.randn(count, GAUGES, HOURS + 6, generator=draw)
    return level[:, :, :HOURS].contiguous(), level[:, :, -1].contiguous()


class Surge(torch.nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.inlet = torch.nn.Conv1d(GAUGES, width, 3, padding=1)
        self.mid = torch.nn.Conv1d(width, width, 3, padding=2, dilation=2)
        self.far = torch.nn.Conv1d(width, width, 3, padding=4, dilation=4)
        self.out = torch.nn.Linear(width, GAUGES)

    def forward(self, levels):
        x = F.silu(self.inlet(levels))
        x = x + F.silu(self.mid(x))
        x = x + F.silu(self.far(x))
        return levels[:, :, -1] + self.out(x[:, :, -1])


torch.manual_seed(1)
net = Surge()
params = {name: p.detach() for name, p in net.named_parameters()}
pace = {name: torch.zeros_like(p) for name, p in params.items()}
levels, heights = coast(6000, 1)
held_levels, held_heights = coast(200, 2)


def misfit(params, levels, heights):
    return F.smooth_l1_loss(functional_call(net, params, (levels,)), heights)


slope = grad_and_value(misfit)


def held_out(params):
    parts = zip(held_levels.split(200), held_heights.split(200))
    return torch.stack([misfit(params, *part) for part in parts]).mean().item()


def descend(params, pace, rate=0.05, drag=0.9):
    draw = torch.Generator().manual_seed(7)
    while True:
        rows = torch.randint(len(levels), (200,), generator=draw)
        grads, loss = slope(params, levels[rows], heights[rows])
        pace = {name: drag * pace[name] + grad for name, grad in grads.items()}
        params = {name: p - rate * pace[name] for name, p in params.items()}
        yield params, loss


best, kept = float("inf"), params
begin = time.perf_counter()
for update, (params, loss) in enumerate(descend(params, pace), 1):
    if update % 4 == 0:
        score = held_out(params)
        if score < best:
            best, kept = score, params
    if update % 50 == 0:
        print(f"{update:4d} loss {loss:.4f} best held out {best:.4f}")
    if update == UPDATES:
        break
print(f"loop_seconds={time.perf_counter() - begin:.3f}")
