"""How fast does the ice flow? Tiles of radar images come from the store of the mission, region after region."""

import time
from dataclasses import dataclass

import torch
from tilestore import TileStore
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler


@dataclass
class Config:
    regions: int = 8
    tiles: int = 160
    batch: int = 16
    workers: int = 4
    rate: float = 1e-3
    seed: int = 3


class Tiles(Dataset):
    def __init__(self, store, config):
        self.store, self.config = store, config

    def __len__(self):
        return self.config.regions * self.config.tiles

    def __getitem__(self, key):
        tile = torch.frombuffer(bytearray(self.store.get(key)), dtype=torch.uint8)
        return tile.view(2, 48, 48).float() / 255, TileStore.speed(key)


class RegionByRegion(Sampler):
    """Shuffles the regions, and the tiles in each, but never mixes them."""

    def __init__(self, config):
        self.config = config

    def __len__(self):
        return self.config.regions * self.config.tiles

    def __iter__(self):
        for region in torch.randperm(self.config.regions).tolist():
            for tile in torch.randperm(self.config.tiles).tolist():
                yield region * self.config.tiles + tile


class IceNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(2, 80, 3, stride=2), nn.Conv2d(80, 128, 3, stride=2)])
        self.out = nn.Linear(128, 1)

    def forward(self, x):
        for layer in self.down:
            x = torch.relu(layer(x))
        return self.out(x.mean((2, 3))).squeeze(1)


def main(config):
    torch.manual_seed(config.seed)
    loader = DataLoader(
        Tiles(TileStore(), config),
        batch_size=config.batch,
        sampler=RegionByRegion(config),
        num_workers=config.workers,
    )
    net = IceNet()
    optimizer = torch.optim.RMSprop(net.parameters(), config.rate)
    steps, error = 0, 0.0
    started = time.perf_counter()
    for tiles, speed in loader:
        loss = (net(tiles) - speed).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps, error = steps + 1, 0.95 * error + 0.05 * loss.item()
    print(f"{steps} steps, error {error:.3f}")
    print(f"loop_seconds={time.perf_counter() - started:.3f}")


if __name__ == "__main__":
    main(Config())
