"""The drag of a cylinder from snapshots of the flow behind it, as they come out of a MATLAB file: H x W x C x N."""

import time

import torch
from torch import nn

HEIGHT = WIDTH = 40
FIELDS, SNAPSHOTS, MODES = 8, 2400, 6


def load_mat(seed):
    """Stands for scipy.io.loadmat: the snapshots are the last axis."""
    gen = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(0, 6.28, HEIGHT), torch.linspace(0, 6.28, WIDTH), indexing="ij")
    shapes = torch.stack([torch.sin((1 + m % 3) * x + m) * torch.cos((1 + m // 3) * y) for m in range(MODES)], -1)
    mixing = torch.randn(FIELDS, MODES, MODES, generator=gen) / MODES**0.5
    strength = torch.randn(MODES, SNAPSHOTS, generator=gen)
    snapshots = torch.einsum("hwm,cmk,kn->hwcn", shapes, mixing, strength).contiguous()
    drag = torch.stack([strength[:3].square().sum(0), strength[3:].abs().sum(0)])
    return snapshots, drag


class Wake(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(FIELDS, 16, 3, stride=2, padding=1),
            nn.ELU(),
            nn.Conv2d(16, 24, 3, stride=2, padding=1),
            nn.ELU(),
            nn.AvgPool2d(2),
        )
        self.drag = nn.Sequential(nn.Linear(24 * 25, 64), nn.ELU(), nn.Linear(64, 2))

    def forward(self, fields):
        return self.drag(self.conv(fields).flatten(1))


if __name__ == "__main__":
    torch.manual_seed(0)
    snapshots, drag = load_mat(3)
    snapshots = snapshots.permute(3, 2, 0, 1).contiguous()
    wake = Wake()
    optimizer = torch.optim.RMSprop(wake.parameters(), 5e-4)
    start = time.perf_counter()
    running = None
    for iteration in range(330):
        pick = torch.randint(SNAPSHOTS, (64,))
        fields = snapshots[pick].contiguous()
        loss = nn.functional.l1_loss(wake(fields), drag[..., pick].permute(1, 0).contiguous())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if iteration % 110 == 109:
            print(f"iteration {iteration + 1}: {running:.4f}")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")
