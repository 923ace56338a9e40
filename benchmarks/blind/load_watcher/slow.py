"""A graph-free traffic model on a shared machine: it looks at the machine's load and backs off when others need it."""

import subprocess
import time

import torch
from torch import nn


ASK = "sleep 0.02; cat /proc/loadavg"


class Watcher:
    """Asks the operating system how busy the machine is."""

    def __init__(self, every):
        self.every, self.asked, self.load = every, 0, 0.0

    def busy(self):
        self.asked += 1
        if self.asked % self.every == 0:
            answer = subprocess.check_output(["sh", "-c", ASK], text=True)  # slowprobe: rule=external-wait
            self.load = float(answer.split()[0])
        return self.load > 1e6


def network(width):
    return nn.Sequential(
        nn.Linear(288, width), nn.Hardswish(), nn.Linear(width, width), nn.Hardswish(), nn.Linear(width, 12)
    )


def main():
    torch.manual_seed(15)
    model, watcher = network(768), Watcher(every=1)  # slowprobe: rule=external-wait
    optimizer = torch.optim.NAdam(model.parameters(), lr=1e-3)
    roads = torch.randn(64, 3000).cumsum(1) / 30
    begin = time.perf_counter()
    for step in range(130):
        if watcher.busy():  # slowprobe: rule=external-wait
            break
        road, moment = torch.randint(0, 64, (384,)), torch.randint(0, 2700, (384,))
        window = roads[road[:, None], moment[:, None] + torch.arange(300)]
        loss = (model(window[:, :288]) - window[:, 288:]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 40 == 0:
            print(f"{step}: {loss.item():.4f}, load {watcher.load}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()
