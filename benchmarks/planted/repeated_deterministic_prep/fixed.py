"""Molecules become fingerprints anew in every epoch."""

import hashlib
import random
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Fingerprints(Dataset):
    def __init__(self, count):
        rng = random.Random(7)
        self.known = {}
        self.formulas = ["".join(rng.choices("CNOFH()=", k=60)) for _ in range(count)]

    def __len__(self):
        return len(self.formulas)

    def fingerprint(self, formula):
        bits = np.zeros(256, dtype=np.float32)
        for size in (2, 3, 4):
            for begin in range(len(formula) - size):
                digest = hashlib.md5(formula[begin : begin + size].encode()).digest()
                bits[digest[0]] += 1
        return bits

    def __getitem__(self, index):
        if index not in self.known:
            self.known[index] = self.fingerprint(self.formulas[index])
        return self.known[index], np.float32(index % 7)


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
    train(DataLoader(Fingerprints(3_300), batch_size=50, shuffle=True), 256, passes=8, layers=12)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()
