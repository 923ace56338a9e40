"""An autoencoder of spectra whose metrics go to a JSON file for a dashboard."""

import collections
import json
import os
import tempfile
import time
from pathlib import Path

import torch
from torch import nn


class RunLog:
    def __init__(self, path):
        self.path, self.rows = path, collections.deque(maxlen=200)

    def write(self, **values):
        self.rows.append(values)
        with open(self.path, "w") as file:
            json.dump(list(self.rows), file)
            file.flush()
            os.fsync(file.fileno())


class Autoencoder(nn.Module):
    def __init__(self, width=300):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(width, 200), nn.ELU(), nn.Linear(200, 12))
        self.decoder = nn.Sequential(nn.Linear(12, 200), nn.ELU(), nn.Linear(200, width))

    def forward(self, spectra):
        return self.decoder(self.encoder(spectra))


def main():
    torch.manual_seed(17)
    spectra = torch.rand(15_000, 12) @ torch.randn(12, 300)
    net = Autoencoder()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    with tempfile.TemporaryDirectory() as folder:
        log, step = RunLog(Path(folder) / "metrics.json"), 0
        begin = time.perf_counter()
        for epoch in range(24):
            for rows in torch.randperm(len(spectra)).split(200):
                batch = spectra[rows]
                loss = nn.functional.mse_loss(net(batch), batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                step += 1
                if step % 100 == 0:
                    log.write(step=step, epoch=epoch, loss=loss.item())
        seconds = time.perf_counter() - begin
        print(len(log.rows), "rows written")
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()
