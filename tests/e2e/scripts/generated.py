"""A library's layer that is generated at run time, in the temporary folder, as torch_geometric's are."""

import importlib.util
import tempfile

import torch
from torch import nn

CODE = """
import torch

def propagate(x, weight):
    for _ in range(60):
        x = torch.tanh(x * 0.9)
    return x @ weight
"""


def generate():
    with tempfile.NamedTemporaryFile("w", prefix="library_", suffix=".py", delete=False) as file:
        file.write(CODE)
    spec = importlib.util.spec_from_file_location("generated", file.name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.propagate


if __name__ == "__main__":
    torch.manual_seed(1)
    propagate = generate()
    weight = nn.Parameter(torch.randn(64, 2))
    optimizer = torch.optim.SGD([weight], lr=0.01)
    for _ in range(500):
        optimizer.zero_grad()
        loss = propagate(torch.randn(32, 64), weight).square().mean()
        loss.backward()
        optimizer.step()
    print("result", repr(float(weight.detach().sum())))
