"""Curriculum training that asks a small program for the next difficulty before each step."""

import subprocess
import sys
import time

import torch
from torch import nn

PROGRAM = "import sys; print(min(1.0, int(sys.argv[1]) / 100))"


class Curriculum:
    def difficulty(self, step):
        command = [sys.executable, "-S", "-c", PROGRAM, str(step)]
        return float(subprocess.check_output(command))


def main():
    torch.manual_seed(11)
    model = nn.Sequential(nn.Linear(128, 256), nn.SELU(), nn.Linear(256, 128))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, fused=True)
    curriculum = Curriculum()
    start = time.perf_counter()
    for step in range(100):
        noise = curriculum.difficulty(step)  # slowprobe: rule=external-wait
        for _ in range(2):
            clean = torch.randn(1_024, 128)
            loss = nn.functional.mse_loss(model(clean + noise * torch.randn_like(clean)), clean)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    main()
