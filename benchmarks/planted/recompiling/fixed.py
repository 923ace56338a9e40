"""The same model; what the phase decides is decided outside the compiled function."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(128, 128) for _ in range(8))

    def forward(self, inputs):
        for layer in self.layers:
            inputs = torch.relu(layer(inputs))
        return inputs


def main():
    torch.manual_seed(0)
    model = torch.compile(Net(), backend="aot_eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loader = DataLoader([torch.randn(64, 128)] * 800, batch_size=None)
    model(torch.randn(64, 128)).square().mean().backward()
    begin = time.perf_counter()
    for step, inputs in enumerate(loader):
        optimizer.zero_grad()
        outputs = model(inputs)
        outputs = outputs * 2 if step // 80 == 3 else outputs
        outputs.square().mean().backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


main()
