"""Momentum whose update is made orthogonal by Newton-Schulz iterations."""

import torch


class Muon(torch.optim.Optimizer):
    def __init__(self, params, rate=0.02, drag=0.95, rounds=5):
        super().__init__(params, {"rate": rate, "drag": drag, "rounds": rounds})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                pace = self.state[p].setdefault("pace", torch.zeros_like(p))
                pace.mul_(group["drag"]).add_(p.grad)
                p.add_(orthogonal(pace, group["rounds"]), alpha=-group["rate"])


def orthogonal(matrix, rounds):
    x = matrix / (matrix.norm() + 1e-7)
    for _ in range(rounds):
        square = x @ x.t()
        x = torch.addmm(3.4445 * x, torch.addmm(square, square, square, beta=-4.775, alpha=2.0315), x)
    return x
