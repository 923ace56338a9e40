"""The losses of all steps are kept for a mean at the end, each with its graph."""

# slowprobe: no speed-up (what is threatened is memory)

import time

import torch
from torch import nn

STEPS = 700


def main():
    torch.manual_seed(0)
    model = nn.Sequential(*(layer for _ in range(4) for layer in (nn.Linear(256, 256), nn.Tanh())))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, fused=True)
    inputs = torch.randn(384, 256)
    losses = []
    begin = time.perf_counter()
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = model(inputs).square().mean()
        loss.backward(retain_graph=True)
        optimizer.step()
        losses.append(loss)  # slowprobe: rule=memory-creep
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")
    print(torch.stack(losses).mean().item())


main()
