"""Cross validation of a sensor classifier; short epochs, augmented by random windows in two workers."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

EPOCHS, FOLDS = 18, 3


class SensorWindows(Dataset):
    def __init__(self, recordings=384, length=3000, window=512):
        rng = np.random.default_rng(6)
        self.signal = rng.normal(size=(recordings, length)).cumsum(axis=1).astype(np.float32)
        self.label = (self.signal[:, -1] > self.signal[:, 0]).astype(np.int64)
        self.window = window

    def __len__(self):
        return len(self.signal)

    def __getitem__(self, index):
        start = torch.randint(0, self.signal.shape[1] - self.window, ()).item()
        piece = self.signal[index, start : start + self.window]
        spectrum = np.abs(np.fft.rfft(np.outer(np.hanning(8), piece), axis=1)).mean(0)
        return np.concatenate([piece - piece.mean(), spectrum]).astype(np.float32), self.label[index]


def build():
    return nn.Sequential(
        nn.Linear(512 + 257, 768), nn.ReLU(), nn.Dropout(0.1), nn.Linear(768, 512), nn.ReLU(), nn.Linear(512, 2)
    )


def fold_indices(total, fold):
    order = np.random.default_rng(1).permutation(total)
    return np.setdiff1d(order, order[fold::FOLDS]), order[fold::FOLDS]


def train_fold(data, fold):
    train, _ = fold_indices(len(data), fold)
    loader = DataLoader(Subset(data, train), batch_size=32, shuffle=True, num_workers=2, persistent_workers=True)
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    for _ in range(EPOCHS):
        for x, y in loader:
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return loss.item()


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = SensorWindows()
    begin = time.perf_counter()
    losses = [train_fold(data, fold) for fold in range(FOLDS)]
    seconds = time.perf_counter() - begin
    print("loss of folds", " ".join(f"{loss:.3f}" for loss in losses))
    print(f"loop_seconds={seconds:.4f}")
