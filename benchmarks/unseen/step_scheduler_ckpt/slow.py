"""A mixture-density regression with a checkpoint manager."""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from torch import nn


class MixtureDensity(nn.Module):
    def __init__(self, inputs, mixtures, width=768):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
        self.weight, self.mean, self.scale = (nn.Linear(width, mixtures) for _ in range(3))

    def forward(self, x):
        hidden = self.body(x)
        return self.weight(hidden), self.mean(hidden), self.scale(hidden)


def loss_of(parts, y):
    weight, mean, scale = parts
    normal = torch.distributions.Normal(mean, scale.exp(), validate_args=False)
    return -torch.logsumexp(normal.log_prob(y[:, None]) + weight.log_softmax(1), 1).mean()


class Checkpoints:
    def __init__(self, folder, every, keep=2):
        self.folder, self.every, self.keep = Path(folder), every, keep

    def after(self, step, model, optimizer):
        if step % self.every:
            return
        state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, self.folder / f"step_{step:06d}.pt")  # slowprobe: rule=checkpoint-blocking
        for old in sorted(self.folder.glob("step_*.pt"))[: -self.keep]:
            old.unlink()


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--save-every", type=int, default=2)
    args = parser.parse_args(argv)
    torch.manual_seed(1)
    model = MixtureDensity(16, 5)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(folder, args.save_every)
        begin = time.perf_counter()
        for step in range(1, args.steps + 1):
            x = torch.rand(32, 16)
            y = torch.sin(6 * x[:, 0]) + x[:, 1] * torch.randn(32)
            loss = loss_of(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            checkpoints.after(step, model, optimizer)
        seconds = time.perf_counter() - begin
    print(f"loss {loss.item():.4f}")
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()
