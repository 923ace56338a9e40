"""One training loop stepped in many ways; the argument names the way."""

import sys

import torch
from fingerprint import seed, show
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

WAY = sys.argv[1] if len(sys.argv) > 1 else "plain"


class Lonely(torch.optim.Optimizer):
    """Does not call super().__init__."""

    def __init__(self, params):
        self.param_groups = [{"params": list(params)}]
        self.state = {}

    def zero_grad(self, set_to_none=True):
        for p in self.param_groups[0]["params"]:
            p.grad = None

    def step(self, closure=None):
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p -= 0.05 * p.grad


def make(way, model):
    params = list(model.parameters())
    if way == "fused":
        return [torch.optim.AdamW(params, fused=True)]
    if way == "foreach":
        return [torch.optim.AdamW(params, foreach=True)]
    if way == "several":
        return [torch.optim.SGD(params[:2], lr=0.05), torch.optim.Adam(params[2:], lr=1e-3)]
    if way == "lonely":
        return [Lonely(params)]
    if way == "sparse":
        return [torch.optim.SparseAdam(list(model[0].parameters())), torch.optim.SGD(params[1:], lr=0.05)]
    return [torch.optim.SGD(params, lr=0.05)]


def main():
    seed(2)
    first = nn.Embedding(50, 32, sparse=True) if WAY == "sparse" else nn.Linear(16, 32)
    head = [nn.Flatten(), nn.Linear(4 * 32, 4)] if WAY == "sparse" else [nn.ReLU(), nn.Linear(32, 4)]
    model = nn.Sequential(first, *head)
    inputs = torch.randint(0, 50, (240, 4)) if WAY == "sparse" else torch.randn(240, 16)
    loader = DataLoader(TensorDataset(inputs, torch.randint(0, 4, (240,))), batch_size=8)
    optimizers = make(WAY, model)
    schedulers = [] if WAY == "lonely" else [torch.optim.lr_scheduler.StepLR(each, 10) for each in optimizers]
    average = [p.detach().clone() for p in model.parameters()] if WAY == "ema" else []
    scaler = torch.amp.GradScaler("cpu", enabled=WAY == "scaler", init_scale=2.0**120, growth_interval=3)
    if WAY == "anomaly":
        torch.autograd.set_detect_anomaly(True)
    if WAY == "hooks":
        model.register_forward_hook(lambda module, args, output: output * 1.0)
        model[0].weight.register_hook(lambda grad: grad * 0.5)
    losses, held, until = [], 0, 1
    for x, y in loader:
        loss = nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        losses.append(loss.item())
        held += 1
        if WAY == "accumulating" and held < until:
            continue
        held, until = 0, until % 3 + 1  # one, two, three micro-batches, and again
        for optimizer in optimizers:
            if WAY == "closure":
                optimizer.step(lambda loss=loss: loss)
            elif WAY == "scaler":
                scaler.step(optimizer)
                scaler.update()
            else:
                optimizer.step()
            optimizer.zero_grad()
        for scheduler in schedulers:
            scheduler.step()
        with torch.no_grad():
            for mean, p in zip(average, model.parameters()):
                mean.lerp_(p, 0.01)
    show(losses, model, average)


if __name__ == "__main__":
    main()
