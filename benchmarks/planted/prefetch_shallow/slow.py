"""Shards are opened with a pause every few batches; the queue is too short to bridge it."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset


class Shards(IterableDataset):
    """A shard is waited for, then its samples come at once."""

    def __iter__(self):
        for shard in range(10):
            time.sleep(0.12)
            rng = np.random.default_rng(shard)
            for _ in range(20 * 16):
                yield rng.random(64, dtype=np.float32), np.float32(shard)


def train(loader, inputs, passes=1, width=64, layers=0):
    """The same network for whatever the loader gives; its layers are too small to be worth a second thread."""
    hidden = [part for _ in range(layers) for part in (nn.Linear(width, width), nn.ReLU())]
    model = nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), *hidden, nn.Linear(width, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, fused=True)
    start = time.perf_counter()
    for _ in range(passes):
        for x, y in loader:
            loss = nn.functional.mse_loss(model(x).squeeze(1), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


def main():
    loader = DataLoader(Shards(), batch_size=16, num_workers=1, prefetch_factor=2)  # slowprobe: rule=prefetch-shallow
    train(loader, 64, width=128, layers=60)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()
