"""Wave height from buoys: records lie packed in shards, and a new shard is unpacked when the last is used up."""

import lzma
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

PER_SHARD, LENGTH, BATCH = 320, 48, 32


def pack(folder, shards):
    random = np.random.default_rng(0)
    packed = []
    for _ in range(3):
        waves = np.cumsum(random.integers(-3, 4, (PER_SHARD, 12 * LENGTH, 6)), axis=1).astype(np.float32)
        packed.append(lzma.compress(waves.tobytes(), preset=0))
    for shard in range(shards):
        (folder / f"{shard:03d}.xz").write_bytes(packed[shard % len(packed)])
    return sorted(folder.glob("*.xz"))


class Buoys(IterableDataset):
    def __init__(self, shards):
        self.shards = shards

    def __iter__(self):
        for shard in self.shards:
            waves = np.frombuffer(lzma.decompress(shard.read_bytes()), np.float32)
            waves = torch.from_numpy(waves.reshape(PER_SHARD // BATCH, BATCH, LENGTH, 12, 6)[..., 0, :].copy()) / 20
            for batch in waves:
                yield batch, batch.abs().amax(1).mean(1)


class Height(nn.Module):
    def __init__(self):
        super().__init__()
        self.past = nn.GRU(6, 40, batch_first=True)
        self.height = nn.Linear(40, 1)

    def forward(self, waves):
        return self.height(self.past(waves)[0][:, -1]).squeeze(1)


def train(shards):
    loader = DataLoader(
        Buoys(shards),
        batch_size=None,
        num_workers=1,
        prefetch_factor=24,
    )
    model = Height()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, fused=True)
    start = time.perf_counter()
    for number, (waves, height) in enumerate(loader):
        loss = (model(waves) - height).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if number % 100 == 0:
            print(f"batch {number}: {loss.item():.3f}")
    return time.perf_counter() - start


if __name__ == "__main__":
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        seconds = train(pack(Path(folder), 36))
    print(f"loop_seconds={seconds:.4f}")
