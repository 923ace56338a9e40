"""Tree species from small leaf photographs, loaded by two workers with a batch function of its own."""

import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Leaves(Dataset):
    def __init__(self, count=3000, side=80):
        self.shapes = torch.rand(24, 3, side, side)
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        species = i % 24
        photo = self.shapes[species]
        if torch.rand(()) < 0.5:
            photo = photo.flip(2)
        return photo, species


def together(items):
    photos = torch.empty(0, 3, 80, 80)
    species = []
    for photo, kind in items:
        photos = torch.cat([photos, photo.unsqueeze(0)])  # slowprobe: rule=collate-heavy
        species.append(kind)
    return photos, torch.tensor(species)


class LeafNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(3, 16, 8, stride=8)
        self.think = nn.Linear(1600, 256)
        self.say = nn.Linear(256, 24)

    def forward(self, photo):
        return self.say(F.relu(self.think(F.relu(self.look(photo)).flatten(1))))


def run(epochs=4):
    loader = DataLoader(
        Leaves(),
        batch_size=100,
        shuffle=True,
        num_workers=2,
        persistent_workers=True,
        collate_fn=together,  # slowprobe: rule=collate-heavy
    )
    net = LeafNet()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, fused=True)
    clock = time.perf_counter()
    for epoch in range(epochs):
        for photo, species in loader:
            loss = F.cross_entropy(net(photo), species)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"[{epoch + 1}/{epochs}] {loss.item():.4f}")
    return time.perf_counter() - clock


if __name__ == "__main__":
    torch.manual_seed(12)
    print(f"loop_seconds={run():.4f}")
