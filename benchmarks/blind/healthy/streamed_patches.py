"""Self-supervised colouring of random patches; two workers cut them, whole batches at a time."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset


class Patches(IterableDataset):
    def __init__(self, batches, size):
        self.batches, self.size = batches, size
        self.scene = torch.rand(3, 400, 400)

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        share = self.batches // (worker.num_workers if worker else 1)
        for _ in range(share):
            tops = torch.randint(0, 376, (self.size, 2)).tolist()
            yield torch.stack([self.scene[:, y : y + 24, x : x + 24] for y, x in tops])


def main():
    torch.manual_seed(0)
    loader = DataLoader(Patches(180, 48), batch_size=None, num_workers=2)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 3, 1)
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    start = time.perf_counter()
    for number, colour in enumerate(loader):
        grey = colour.mean(1, keepdim=True).to(memory_format=torch.channels_last)
        loss = (model(grey) - colour).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if number % 100 == 0:
            print(number, f"{loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    main()
