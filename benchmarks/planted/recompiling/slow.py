"""A compiled model that is told the phase as a Python string: it is compiled for each, until torch.compile gives up."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(128, 128) for _ in range(8))

    def forward(self, inputs, phase):  # slowprobe: rule=recompiling
        for layer in self.layers:
            inputs = torch.relu(layer(inputs))
        return inputs * 2 if phase == "phase 3" else inputs


def main():
    torch.manual_seed(0)
    model = torch.compile(Net(), backend="aot_eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loader = DataLoader([torch.randn(64, 128)] * 800, batch_size=None)
    model(torch.randn(64, 128), "warm-up").square().mean().backward()
    begin = time.perf_counter()
    for step, inputs in enumerate(loader):
        optimizer.zero_grad()
        model(inputs, f"phase {step // 80}").square().mean().backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


main()
