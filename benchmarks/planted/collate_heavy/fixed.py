"""Point clouds of different size, padded by hand."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

LONGEST = 60


class Clouds(Dataset):
    def __init__(self, count):
        rng = np.random.default_rng(1)
        self.clouds = [torch.from_numpy(rng.random((n, 3), dtype=np.float32)) for n in rng.integers(20, LONGEST, count)]

    def __len__(self):
        return len(self.clouds)

    def __getitem__(self, index):
        return self.clouds[index]


def pad(clouds):
    batch = nn.utils.rnn.pad_sequence(clouds, batch_first=True)
    batch = nn.functional.pad(batch, (0, 0, 0, LONGEST - batch.shape[1]))
    return batch, batch.mean((1, 2))


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
    train(DataLoader(Clouds(1_600), batch_size=32, shuffle=True, collate_fn=pad), LONGEST * 3, passes=16, width=512)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()
