"""Histograms of all parameters and gradients in every step; the writer stands in for TensorBoard's."""

import sys
import tempfile
import time
import types
from pathlib import Path

import numpy as np
import torch
from torch import nn

STEPS = 620
WRITER = """
import numpy as np

class SummaryWriter:
    def __init__(self, log_dir):
        self.file = open(log_dir, "wb")

    def add_scalar(self, tag, value, step):
        self.file.write(f"{tag} {value} {step}".encode())

    def add_histogram(self, tag, values, step):
        counts, limits = np.histogram(values.detach().cpu().numpy(), bins=1549)
        self.file.write(tag.encode() + counts.tobytes() + limits.tobytes())
"""


def stand_in():
    """The writer's module under TensorBoard's name."""
    module = types.ModuleType("torch.utils.tensorboard.writer")
    exec(compile(WRITER, str(Path(np.__file__).with_name("writer.py")), "exec"), vars(module))
    sys.modules[module.__name__] = module
    time.sleep(1.5)  # as long as an import of TensorBoard
    return module


def main():
    """Train."""
    torch.manual_seed(0)
    features = torch.randn(20_000, 128)
    labels = features[:, :10].argmax(dim=1)
    model = nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with tempfile.TemporaryDirectory() as folder:
        writer = stand_in().SummaryWriter(Path(folder) / "events")
        began = time.perf_counter()
        for step in range(STEPS):
            rows = torch.randint(len(features), (512,))
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(features[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            writer.add_scalar("loss", loss.item(), step)
            for name, parameter in model.named_parameters():
                writer.add_histogram(name, parameter, step)  # slowprobe: rule=tracker-media
                writer.add_histogram(f"{name}.grad", parameter.grad, step)
        seconds = time.perf_counter() - began
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()
