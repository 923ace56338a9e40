"""A network of many small experts, trained by Adam."""

import time

import torch
from torch import nn


class Experts(nn.Module):
    """All experts in two products; one parameter tensor per expert and layer, as the checkpoint has them."""

    def __init__(self, experts=80, width=32):
        super().__init__()
        self.into = nn.ParameterList(torch.randn(16, width) / 4 for _ in range(experts))
        self.shift = nn.ParameterList(torch.zeros(width) for _ in range(experts))
        self.out = nn.ParameterList(torch.randn(width, 1) / 5 for _ in range(experts))
        self.gate = nn.Linear(16, experts)

    def forward(self, x):
        hidden = x @ torch.cat(list(self.into), 1) + torch.cat(list(self.shift))
        experts = len(self.into)
        answers = torch.relu(hidden).view(len(x), experts, -1) * torch.stack(list(self.out)).squeeze(2)
        return (answers.sum(2) * self.gate(x).softmax(1)).sum(1)


def main():
    torch.manual_seed(3)
    model = Experts()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    x = torch.randn(20_000, 16)
    y = (x[:, 0] * x[:, 1]).tanh() + x[:, 2:5].norm(dim=1)
    begin = time.perf_counter()
    for step in range(300):
        rows = torch.randint(0, len(x), (80,))
        loss = (model(x[rows]) - y[rows]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 75 == 0:
            print(f"{step}\t{loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()
