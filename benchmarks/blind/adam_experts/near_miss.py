"""A network of many small experts, trained by an Adam that follows the paper line by line."""

import time

import torch
from torch import nn
from torch.optim import Optimizer


class PaperAdam(Optimizer):
    """Algorithm 1 of Kingma and Ba with decoupled weight decay."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            (beta1, beta2), lr = group["betas"], group["lr"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                state["t"] += 1
                m, v = state["m"], state["v"]
                p.mul_(1 - lr * group["weight_decay"])
                m.mul_(beta1).add_(p.grad, alpha=1 - beta1)
                v.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                m_hat = m / (1 - beta1 ** state["t"])
                v_hat = v / (1 - beta2 ** state["t"])
                p.sub_(lr * m_hat / (v_hat.sqrt() + group["eps"]))


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
    optimizer = PaperAdam(model.parameters(), lr=1e-3, weight_decay=0.01)
    x = torch.randn(20_000, 16)
    y = (x[:, 0] * x[:, 1]).tanh() + x[:, 2:5].norm(dim=1)
    begin = time.perf_counter()
    for step in range(300):
        rows = torch.randint(0, len(x), (256,))
        loss = (model(x[rows]) - y[rows]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 75 == 0:
            print(f"{step}\t{loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()
