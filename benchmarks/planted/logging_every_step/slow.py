"""Trains an autoencoder; a metrics writer stores norms of all gradients as JSON lines in every step."""

import json
import os
import tempfile
import time

import torch
from torch import nn


class MetricsWriter:
    def __init__(self, path):
        self.file = open(path, "w")

    def write(self, step, model, loss):
        record = {"step": step, "loss": loss.item()}
        for name, parameter in model.named_parameters():
            record[f"grad/{name}"] = parameter.grad.norm().item()  # slowprobe: rule=logging-every-step
            record[f"hist/{name}"] = torch.histc(parameter.grad, 30).tolist()  # slowprobe: rule=logging-every-step
        self.file.write(json.dumps(record) + "\n")  # slowprobe: rule=logging-every-step
        self.file.flush()
        os.fsync(self.file.fileno())  # slowprobe: rule=logging-every-step


def autoencoder():
    widths = [64, 48, 32, 16, 32, 48, 64]
    layers = [layer for a, b in zip(widths, widths[1:]) for layer in (nn.Linear(a, b), nn.LeakyReLU())]
    return nn.Sequential(*layers[:-1])


def main():
    torch.manual_seed(7)
    model, data = autoencoder(), torch.randn(10_000, 64)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    with tempfile.TemporaryDirectory() as folder:
        writer = MetricsWriter(os.path.join(folder, "metrics.jsonl"))
        began = time.perf_counter()
        for step in range(1_700):
            batch = data[torch.randint(len(data), (256,))]
            loss = nn.functional.mse_loss(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            writer.write(step, model, loss)  # slowprobe: rule=logging-every-step
        seconds = time.perf_counter() - began
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()
