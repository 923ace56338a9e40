"""An expert for each of many domains, one of which a batch trains; zero_grad fills the gradients of all with zeros."""

import time

import torch
from torch import nn

STEPS, DOMAINS = 900, 40


def main():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(256, 256), nn.ReLU())
    experts = nn.ModuleList(nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)) for _ in range(DOMAINS))
    optimizer = torch.optim.SGD([*trunk.parameters(), *experts.parameters()], lr=0.001, fused=True)
    inputs, targets = torch.randn(256, 256), torch.randint(10, (256,))
    begin = time.perf_counter()
    for step in range(STEPS):
        optimizer.zero_grad(set_to_none=False)  # slowprobe: rule=zero-grad-memset
        nn.functional.cross_entropy(experts[step % DOMAINS](trunk(inputs)), targets).backward()
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


main()
