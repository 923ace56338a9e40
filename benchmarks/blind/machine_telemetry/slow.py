"""A fault detector for machines; a companion keeps a summary of the shift's event log up to date while it trains."""

import random
import threading
import time

import torch
from torch import nn


def summarise(stopped, period=0.08):
    """Sorts events into a table of counts per machine, again and again."""
    numbers = random.Random(3)
    events = [f"m{numbers.randrange(80)}:{numbers.choice('abcdef')}:{numbers.random():.3f}" for _ in range(70_000)]
    while not stopped.wait(period):
        table = {}
        for event in events:  # slowprobe: rule=gil-contention
            machine, kind, amount = event.split(":")  # slowprobe: rule=gil-contention
            entry = table.setdefault((machine, kind), [0, 0.0])  # slowprobe: rule=gil-contention
            entry[0] += 1  # slowprobe: rule=gil-contention
            entry[1] += float(amount)  # slowprobe: rule=gil-contention


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.signal = nn.Sequential(nn.Conv1d(4, 24, 9, stride=4), nn.ReLU(), nn.Conv1d(24, 32, 5, stride=4), nn.ReLU())
        self.fault = nn.Linear(32, 3)

    def forward(self, x):
        return self.fault(self.signal(x).mean(2))


def main():
    torch.manual_seed(6)
    stopped = threading.Event()
    companion = threading.Thread(target=summarise, args=(stopped,), daemon=True)  # slowprobe: rule=gil-contention
    companion.start()  # slowprobe: rule=gil-contention
    time.sleep(0.3)
    detector = Detector()
    optimizer = torch.optim.Adam(detector.parameters(), lr=1e-3, fused=True)
    begin = time.perf_counter()
    for step in range(700):
        fault = torch.randint(0, 3, (64,))
        wave = torch.randn(64, 4, 512) * (1 + fault[:, None, None])
        loss = nn.functional.cross_entropy(detector(wave), fault)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 175 == 0:
            print(step, round(loss.item(), 4))
    seconds = time.perf_counter() - begin
    stopped.set()
    companion.join()
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()
