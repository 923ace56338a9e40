"""Two workers augment pictures; one augmentation, in a module of its own, takes most of it."""

import time

import numpy as np
import torch
from augmentation import distort
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Pictures(Dataset):
    def __len__(self):
        return 8_000

    def __getitem__(self, index):
        rng = np.random.default_rng()
        picture = rng.random((40, 40), dtype=np.float32)
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
        if index % 40 == 0:
            picture = distort(picture, rng)
        return np.ascontiguousarray(picture), np.float32(picture.mean())


def train(loader, inputs, passes=1, width=64):
    """The same small network for whatever the loader gives."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, 1))
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
    train(DataLoader(Pictures(), batch_size=16, num_workers=2, persistent_workers=True), 1_600, width=1_024)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()
