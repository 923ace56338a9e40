"""Trains a classifier and writes every gradient to a log file at every step.

Turning the tensors into text costs more than the step itself.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

log = logging.getLogger("train")


def build_model(width=256, depth=10):
    layers = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def train(model, optimizer, features, labels, steps, file):
    for step in range(steps):
        rows = torch.randint(len(features), (256,))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(features[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        log.info("step %d loss %.5f", step, loss.item())
        gradients = [parameter.grad for parameter in model.parameters()]
        print("gradients", *gradients, file=file, flush=True)  # slowprobe: rule=logging-every-step
    print(f"step {step} loss {loss.item():.5f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600)
    args = parser.parse_args()

    torch.manual_seed(0)
    features = torch.randn(20_000, 256)
    labels = features[:, :10].argmax(dim=1)
    model = build_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "gradients.txt").open("w") as file:
        logging.basicConfig(filename=Path(folder) / "train.log", level=logging.INFO)
        started = time.perf_counter()
        train(model, optimizer, features, labels, args.steps, file)
        print(f"loop {time.perf_counter() - started:.2f} s")
        logging.shutdown()


if __name__ == "__main__":
    main()
