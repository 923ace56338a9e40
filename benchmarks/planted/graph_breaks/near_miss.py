"""A compiled model that breaks once, where its features are handed to code that cannot be compiled."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(256, 256) for _ in range(12))

    def forward(self, inputs):
        for layer in self.layers:
            inputs = torch.relu(layer(inputs))
        torch._dynamo.graph_break()
        return inputs * 0.5


def main():
    torch.manual_seed(0)
    model = torch.compile(Net(), backend="aot_eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loader = DataLoader([torch.randn(1_024, 256)] * 150, batch_size=None)
    model(torch.randn(1_024, 256)).square().mean().backward()
    begin = time.perf_counter()
    for inputs in loader:
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


main()
