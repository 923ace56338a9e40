"""Runs the whole validation set after every few updates, to draw a smooth curve."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

EVERY = 50


class Series(Dataset):
    def __init__(self, count, seed):
        generator = torch.Generator().manual_seed(seed)
        self.windows = torch.randn(count, 32, 64, generator=generator)

    def __len__(self):
        return len(self.windows)

    def __getitem__(self, index):
        return self.windows[index], self.windows[index].mean(0)


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(64, 64, batch_first=True), nn.Linear(64, 64)

    def forward(self, windows):
        return self.head(self.rnn(windows)[0][:, -1])


def score(model, loader):
    model.eval()
    with torch.no_grad():
        for windows, targets in loader:
            loss = nn.functional.l1_loss(model(windows), targets)
    model.train()
    return loss.item()


def main():
    torch.manual_seed(19)
    model = Forecaster()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    training = DataLoader(Series(6_400, 1), batch_size=64, shuffle=True)
    validation = DataLoader(Series(1_024, 2), batch_size=256)
    start = time.perf_counter()
    for _ in range(3):
        for step, (windows, targets) in enumerate(training):
            loss = nn.functional.l1_loss(model(windows), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % EVERY == 0:
                last = score(model, validation)
    print(f"validation {last:.4f}")
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    main()
