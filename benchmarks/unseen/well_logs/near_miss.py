"""A depth-wise regression on bore-hole logs, one record per hole and window."""

import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


@dataclasses.dataclass(frozen=True)
class Config:
    windows: int = 4096
    channels: int = 6
    depth: int = 64
    batch: int = 64
    epochs: int = 12
    rate: float = 1e-3


def prepare(folder: Path, config: Config) -> None:
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(config.windows, config.channels, config.depth)).astype(np.float32).cumsum(axis=2) / 8
    np.save(folder / "all.npy", logs)
    for number, window in enumerate(logs):
        np.save(folder / f"window_{number:05d}.npy", window)


class Windows(Dataset):
    def __init__(self, folder: Path, config: Config) -> None:
        self.folder, self.config = folder, config
        self.logs = np.load(folder / "all.npy", mmap_mode="r")

    def __len__(self) -> int:
        return self.config.windows

    def __getitems__(self, numbers: list[int]) -> torch.Tensor:
        return torch.from_numpy(self.logs[numbers])


class Regressor(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Flatten(),
            nn.Linear(config.channels * (config.depth - 1), 640),
            nn.SiLU(),
            nn.Linear(640, 320),
            nn.SiLU(),
        )
        self.mean = nn.Linear(320, config.channels)
        self.log_scale = nn.Linear(320, config.channels)

    def forward(self, window: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.features(window)
        return self.mean(hidden), self.log_scale(hidden)


def negative_log_likelihood(mean: torch.Tensor, log_scale: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return (log_scale + 0.5 * ((truth - mean) / log_scale.exp()).square()).mean()


def fit(config: Config) -> float:
    torch.manual_seed(1)
    model = Regressor(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.rate, fused=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, config)
        loader = DataLoader(Windows(folder, config), config.batch, shuffle=True, collate_fn=lambda batch: batch)
        start = time.perf_counter()
        for epoch in range(config.epochs):
            for window in loader:
                mean, log_scale = model(window[:, :, :-1])
                loss = negative_log_likelihood(mean, log_scale, window[:, :, -1])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            first = np.load(folder / f"window_{epoch:05d}.npy")
            print(epoch, f"{loss.item():.4f}", float(first.mean()))
        return time.perf_counter() - start


if __name__ == "__main__":
    print(f"loop_seconds={fit(Config()):.4f}")
