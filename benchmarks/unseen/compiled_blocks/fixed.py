"""A compiled residual network whose noise is annealed."""

import time

import torch
from torch import nn


class Annealed(nn.Module):
    def __init__(self, width=128, depth=8):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.phase = 0
        self.register_buffer("noise", torch.zeros(()))

    def forward(self, x):
        noise = self.noise
        for layer in self.layers:
            x = x + torch.tanh(layer(x) + noise * torch.randn_like(x)) * 0.3
        return x


def main():
    torch.manual_seed(0)
    net = Annealed()
    compiled = torch.compile(net, backend="aot_eager")
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    x = torch.randn(1024, 128)
    y = x.roll(1, 1)
    begin = time.perf_counter()
    for step in range(700):
        if step % 100 == 0:
            net.phase = step // 100
            net.noise.fill_(0.5 / (1 + net.phase))
        rows = torch.randint(0, len(x), (96,))
        guess = compiled(x[rows])
        loss = (guess - y[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 99:
            print(f"{step + 1}: {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()
