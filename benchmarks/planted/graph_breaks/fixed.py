"""The same model, which looks for overflow once, outside of what is compiled: one graph."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(128, 128)

    def forward(self, inputs):
        return torch.relu(self.linear(inputs))


def main():
    torch.manual_seed(0)
    model = torch.compile(nn.Sequential(*(Layer() for _ in range(12))), backend="aot_eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loader = DataLoader([torch.randn(64, 128)] * 1_000, batch_size=None)
    model(torch.randn(64, 128)).square().mean().backward()
    begin = time.perf_counter()
    for inputs in loader:
        optimizer.zero_grad()
        outputs = model(inputs)
        if outputs.max() > 1e4:
            raise OverflowError("activations explode")
        outputs.square().mean().backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


main()
