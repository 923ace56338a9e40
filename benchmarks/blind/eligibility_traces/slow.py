"""Reward-modulated learning with eligibility traces: sparse events leave traces that fade slowly."""

import time

import torch
from torch import nn

SENSES, CELLS, FADE = 768, 768, 0.88


class Traces:
    def __init__(self):
        self.trace = torch.zeros(CELLS, SENSES)

    def touch(self, cells, senses):
        self.trace.mul_(FADE)  # slowprobe: rule=denormals
        self.trace[cells[:, None], senses[None, :]] += 1.0

    def drive(self, sense):
        return sense @ self.trace.T  # slowprobe: rule=denormals


def main():
    torch.manual_seed(0)
    traces = Traces()
    readout = nn.Sequential(nn.Linear(CELLS, 256), nn.ReLU(), nn.Linear(256, 4))
    optimizer = torch.optim.Adam(readout.parameters(), lr=1e-3, fused=True)
    traces.touch(torch.arange(CELLS), torch.arange(SENSES))
    for _ in range(820):
        traces.trace.mul_(FADE)
    begin = time.perf_counter()
    for step in range(500):
        traces.touch(torch.randint(0, CELLS, (8,)), torch.randint(0, SENSES, (8,)))  # slowprobe: rule=denormals
        goal = torch.randint(0, 4, (128,))
        sense = torch.rand(128, SENSES) * (1 + goal[:, None])
        drive = traces.drive(sense)  # slowprobe: rule=denormals
        loss = nn.functional.cross_entropy(readout(drive + sense), goal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"{step}: {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()
