"""The fixed twin of worker_restart_slow.py: the loader keeps its workers between epochs."""

import argparse
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, RandomSampler


class Windows(Dataset):
    """Windows of a long recording, normalised as they are read."""

    def __init__(self, count):
        self.count = count
        self.recording = np.random.default_rng(0).standard_normal((count + 64, 32), dtype=np.float32).cumsum(axis=0)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        window = self.recording[index : index + 64]
        window = (window - window.mean(axis=0)) / (window.std(axis=0) + 1e-5)
        return torch.from_numpy(window), float(self.recording[index + 64, 0] > self.recording[index + 63, 0])


def build_model():
    return nn.Sequential(
        nn.Conv1d(64, 384, 5, padding=2),
        nn.ReLU(),
        nn.Conv1d(384, 384, 5, padding=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(384, 1),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()

    torch.manual_seed(0)
    dataset = Windows(1_280)
    sampler = RandomSampler(dataset, generator=torch.Generator().manual_seed(0))
    # spawn: forked workers are not safe next to threads and CUDA
    workers = {"num_workers": 2, "persistent_workers": True, "multiprocessing_context": "spawn"}
    loader = DataLoader(dataset, batch_size=64, sampler=sampler, **workers)
    model = build_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    started = time.perf_counter()
    for epoch in range(args.epochs):
        total = 0.0
        for windows, rises in loader:
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(model(windows).squeeze(1), rises.float())
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch} loss {total / len(loader):.5f}")
    print(f"loop {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
