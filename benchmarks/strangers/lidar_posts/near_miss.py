"""Post, tree, car or wall? Clouds of points from a lidar, classified one object at a time."""

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, default_collate

POINTS = 800
KINDS = ("post", "tree", "car", "wall")


class Objects(Dataset):
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, idx):
        rng = np.random.default_rng(idx)
        kind = int(rng.integers(len(KINDS)))
        extent = np.array([[0.1, 0.1, 2, 1], [1, 1, 2, 0.5], [2, 1, 0.7, 0.8], [3, 0.1, 2, 0.3]])[kind]
        cloud = (rng.normal(size=(POINTS, 4)) * extent).astype(np.float32)
        heading = rng.uniform(0, 6.28)
        turn = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]], np.float32)
        points = cloud.copy()
        points[:, :2] = cloud[:, :2] @ turn
        return {
            "points": torch.from_numpy(points),
            "kind": kind,
            "name": f"{KINDS[kind]}-{idx:06d}",
            "box": cloud.max(0).tolist(),
        }


def collate(samples):
    batch = default_collate([{key: s[key] for key in ("points", "kind")} for s in samples])
    batch["extra"] = [{key: s[key] for key in s if key not in batch} for s in samples]
    return batch


class PointNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.each = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU())
        self.all = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, len(KINDS)))

    def forward(self, points):
        return self.all(self.each(points).amax(1))


def train(epochs=3):
    loader = DataLoader(
        Objects(960), batch_size=16, shuffle=True, num_workers=1, persistent_workers=True, collate_fn=collate
    )
    net = PointNet()
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    worst = []
    start = time.perf_counter()
    for epoch in range(epochs):
        for batch in loader:
            losses = nn.functional.cross_entropy(net(batch["points"]), batch["kind"], reduction="none")
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
        value, where = losses.max(0)
        worst.append((value.item(), batch["extra"][where]["name"]))
        print(f"epoch {epoch}: hardest of the last was {worst[-1][1]} with {worst[-1][0]:.3f}")
    return time.perf_counter() - start


if __name__ == "__main__":
    torch.manual_seed(0)
    print(f"loop_seconds={train():.3f}")
