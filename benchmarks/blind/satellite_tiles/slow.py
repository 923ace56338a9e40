"""Land use of satellite tiles; two loader workers cut small windows out of large scenes."""

import argparse
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, default_collate


class Tiles(Dataset):
    def __init__(self, scenes=12, size=256):
        self.scenes = torch.rand(scenes, 4, size, size)
        self.use = torch.randint(0, 5, (scenes, size, size))

    def __len__(self):
        return 4000

    def __getitem__(self, number):
        scene = number % len(self.scenes)
        top, left = torch.randint(0, 240, (2,)).tolist()
        window = self.scenes[scene, :, top : top + 16, left : left + 16]
        return {
            "bands": window.clone(),
            "cloud": window[0].mean().item(),
            "use": int(self.use[scene, top + 8, left + 8]),
        }


class Use(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(4, 24, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(24 * 49, 160), nn.ReLU()
        )
        self.use = nn.Linear(161, 5)

    def forward(self, bands, cloud):
        return self.use(torch.cat([self.body(bands), cloud[:, None]], dim=1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=48)
    options = parser.parse_args()
    torch.manual_seed(0)
    loader = DataLoader(
        Tiles(),
        options.batch,
        shuffle=True,
        num_workers=2,
        persistent_workers=True,
        collate_fn=list,  # slowprobe: rule=worker-ipc
    )
    model = Use()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, fused=True)
    begin = time.perf_counter()
    for epoch in range(options.epochs):
        for items in loader:  # slowprobe: rule=worker-ipc
            batch = default_collate(items)
            loss = nn.functional.cross_entropy(model(batch["bands"], batch["cloud"].float()), batch["use"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()
