"""Videos of very different length: a long one holds up the short ones behind it."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Videos(Dataset):
    def __len__(self):
        return 720

    def load(self, index):
        time.sleep(0.2 if index % 48 == 7 else 0.001)
        return np.random.default_rng().random((4, 50), dtype=np.float32)

    def __getitem__(self, index):
        return self.load(index), np.float32(index % 5)


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
    loader = DataLoader(Videos(), batch_size=4, num_workers=3, in_order=False)
    train(loader, 200, width=128, layers=60)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()
