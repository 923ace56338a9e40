"""Detection targets travel from workers as nested dictionaries of Python numbers."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BOXES = 300


class Boxes(Dataset):
    def __init__(self):
        self.annotation = [{"box": [i, i + 1.5, i + 2.5, i + 3.5], "kind": i % 9, "crowd": False} for i in range(BOXES)]

    def __len__(self):
        return 6_400

    def __getitem__(self, index):
        shift = index % 50
        return [dict(entry, kind=(entry["kind"] + shift) % 9) for entry in self.annotation]


def to_tensor(items):
    return torch.tensor([[entry["box"] for entry in item[:20]] for item in items])


def main():
    loader = DataLoader(Boxes(), batch_size=32, num_workers=2, collate_fn=to_tensor)
    model = nn.Sequential(nn.Flatten(), nn.Linear(80, 16_000), nn.ReLU(), nn.Linear(16_000, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, fused=True)
    start = time.perf_counter()
    for items in loader:
        loss = model(items).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
