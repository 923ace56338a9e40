"""Federated-style training: each round polls a folder until a peer's update file is there."""

import tempfile
import threading
import time
from pathlib import Path

import torch
from torch import nn


class Peer(threading.Thread):
    """Writes an update a little after it was asked for."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder = folder

    def run(self):
        for number in range(50):
            while not (self.folder / f"ask{number}").exists():
                time.sleep(0.01)
            time.sleep(0.03)
            (self.folder / f"update{number}").touch()


def await_file(path):
    while not path.exists():
        time.sleep(0.02)  # slowprobe: rule=external-wait


def main():
    torch.manual_seed(12)
    model = nn.Sequential(nn.Linear(30, 200), nn.ReLU(), nn.Linear(200, 2))
    optimizer = torch.optim.Adagrad(model.parameters(), fused=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Peer(folder).start()
        began = time.perf_counter()
        for number in range(50):
            (folder / f"ask{number}").touch()
            await_file(folder / f"update{number}")
            for _ in range(40):
                x = torch.randn(800, 30)
                loss = nn.functional.cross_entropy(model(x), (x.sum(1) > 0).long())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        seconds = time.perf_counter() - began
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()
