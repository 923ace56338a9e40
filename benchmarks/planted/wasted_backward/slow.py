"""A pretrained backbone that is to stay as it is, and a head that learns: the backbone still gets gradients."""

import time

import torch
from torch import nn

STEPS = 150


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [layer for _ in range(8) for layer in (nn.Linear(512, 512), nn.GELU())]
        self.backbone = nn.Sequential(*layers)
        self.head = nn.Linear(512, 10)

    def forward(self, inputs):
        return self.head(self.backbone(inputs))  # slowprobe: rule=wasted-backward


def main():
    torch.manual_seed(0)
    model = Classifier()
    inputs, targets = torch.randn(256, 512), torch.randint(10, (256,))
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)
    begin = time.perf_counter()
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


main()
