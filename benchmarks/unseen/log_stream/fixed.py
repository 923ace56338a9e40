"""A model of numeric log lines from several shards, read by two workers through an IterableDataset."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info


class Shards(IterableDataset):
    def __init__(self, shards=28, lines=1200, fields=24):
        self.shards, self.lines, self.fields = shards, lines, fields

    def parse(self, shard):
        rng = np.random.default_rng(shard)
        table = rng.normal(size=(self.lines, self.fields))
        for row in table:
            line = ";".join(f"{value:.4f}" for value in row)
            yield np.array(line.split(";"), dtype=np.float32)

    def __iter__(self):
        worker = get_worker_info()
        for shard in range(worker.id, self.shards, worker.num_workers):
            yield from self.parse(shard)


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = nn.Sequential(nn.Linear(24, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 24))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    loader = DataLoader(Shards(), batch_size=64, num_workers=2)
    start = time.perf_counter()
    for epoch in range(1):
        seen, total = 0, 0.0
        for rows in loader:
            loss = (net(rows) - rows).square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            seen += len(rows)
            total += loss.item() * len(rows)
        print(f"epoch {epoch}: {seen} rows, loss {total / seen:.4f}")
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    main()
