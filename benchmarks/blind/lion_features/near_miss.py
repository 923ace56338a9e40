"""A network of many small experts trained with Lion."""

import time

import torch
from torch import nn
from torch.optim import Optimizer


class Lion(Optimizer):
    """Steps along the sign of an interpolated momentum (Chen et al., 2023)."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                momentum = state["momentum"]
                p.mul_(1 - group["lr"] * group["weight_decay"])
                update = momentum.mul(beta1).add_(p.grad, alpha=1 - beta1).sign_()
                p.add_(update, alpha=-group["lr"])
                momentum.mul_(beta2).add_(p.grad, alpha=1 - beta2)


class Experts(nn.Module):
    """All experts in two products; one parameter tensor per expert and layer, as the checkpoint has them."""

    def __init__(self, experts=3, width=880):
        super().__init__()
        self.into = nn.ParameterList(torch.randn(16, width) / 4 for _ in range(experts))
        self.shift = nn.ParameterList(torch.zeros(width) for _ in range(experts))
        self.out = nn.ParameterList(torch.randn(width, 1) / 30 for _ in range(experts))
        self.gate = nn.Linear(16, experts)

    def forward(self, x):
        hidden = x @ torch.cat(list(self.into), 1) + torch.cat(list(self.shift))
        experts = len(self.into)
        answers = torch.relu(hidden).view(len(x), experts, -1) * torch.stack(list(self.out)).squeeze(2)
        return (answers.sum(2) * self.gate(x).softmax(1)).sum(1)


def main():
    torch.manual_seed(3)
    model = Experts()
    optimizer = Lion(model.parameters(), lr=2e-4, weight_decay=0.01)
    x = torch.randn(20_000, 16)
    y = (x[:, 0] * x[:, 1]).tanh() + x[:, 2:5].norm(dim=1)
    begin = time.perf_counter()
    for step in range(340):
        rows = torch.randint(0, len(x), (256,))
        loss = (model(x[rows]) - y[rows]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 85 == 0:
            print(f"{step}\t{loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()
