"""Texture classes from local histograms of grey patches, learned over a few epochs."""

import time

import numpy as np
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset


def co_occurrence(patch, levels=16):
    """How often each pair of grey levels lies side by side, in four directions."""
    coarse = (patch * levels).astype(np.int64).clip(0, levels - 1)
    tables = []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (0, 2)):
        left = coarse[: coarse.shape[0] - dy, : coarse.shape[1] - dx]
        right = coarse[dy:, dx:]
        pairs = left * levels + right
        tables.append(np.bincount(pairs.ravel(), minlength=levels * levels) / pairs.size)
    return np.concatenate(tables).astype(np.float32) * 100


class Textures(Dataset):
    def __init__(self, patches, labels):
        self.patches, self.labels = patches, labels
        self.shift = np.float32(0.1)
        self.features = [co_occurrence(patch) for patch in patches]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.features[i] + self.shift, self.labels[i]


class TextureNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(1024), nn.Linear(1024, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, classes)
        )

    def forward(self, x):
        return self.layers(x)


def accuracy(net, x, y):
    net.eval()
    with torch.inference_mode():
        result = (net(x).argmax(1) == y).float().mean().item()
    net.train()
    return result


rng = np.random.default_rng(9)
labels = rng.integers(0, 6, 1200)
patches = [np.clip(rng.random((72, 72)) ** (1 + k / 3), 0, 0.999) for k in labels]
torch.manual_seed(9)
training = Textures(patches[:1000], labels[:1000])
held_x = torch.from_numpy(np.stack([co_occurrence(patch) for patch in patches[1000:]]))
held_y = torch.from_numpy(labels[1000:])
net = TextureNet(6)
opt = optim.Adam(net.parameters(), lr=3e-4, fused=True)
loader = DataLoader(training, batch_size=50, shuffle=True)

begin = time.perf_counter()
best, waited = 0.0, 0
for epoch in range(24):
    for x, y in loader:
        loss = nn.functional.cross_entropy(net(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
    score = accuracy(net, held_x, held_y)
    waited = 0 if score > best else waited + 1
    best = max(best, score)
    print(f"{epoch:3d} {score:.3f} (best {best:.3f}, {waited} epochs ago)")
print(f"loop_seconds={time.perf_counter() - begin:.4f}")
