"""Sound pieces turned into spectrograms on the fly, by the training process."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Spectrograms(Dataset):
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def piece(self, rng):
        return np.resize(rng.standard_normal(64, dtype=np.float32), 8_192)

    def __getitem__(self, index):
        rng = np.random.default_rng()
        wave = self.piece(rng)
        spectrum = wave[: 64 * 65].reshape(64, 65) + 1
        return spectrum, np.float32(rng.random())


def main():
    loader = DataLoader(Spectrograms(3_800), batch_size=16)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64 * 65, 1_536), nn.ReLU(), nn.Linear(1_536, 1))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    start = time.perf_counter()
    for spectrum, tempo in loader:
        loss = (model(spectrum).squeeze(1) - tempo).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
