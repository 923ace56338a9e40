"""Two views without negatives: an online network follows a slow average of itself."""

import copy
import time

import torch
import torch.nn.functional as F
from torch import nn


def tower(inputs, hidden, outputs):
    return nn.Sequential(nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class Byol(nn.Module):
    def __init__(self):
        super().__init__()
        self.online, self.predictor = tower(160, 512, 64), tower(64, 256, 64)
        self.slow = copy.deepcopy(self.online).requires_grad_(False)

    def forward(self, one, two):
        with torch.no_grad():
            goal_one, goal_two = self.slow(one), self.slow(two)
        return -(self.follow(one, goal_two) + self.follow(two, goal_one)).mean()

    def follow(self, view, goal):
        return F.cosine_similarity(self.predictor(self.online(view)), goal)

    @torch.no_grad()
    def advance(self, decay):
        torch._foreach_lerp_(list(self.slow.parameters()), list(self.online.parameters()), 1 - decay)


def main():
    torch.manual_seed(0)
    bank = torch.randn(8000, 160)
    model = Byol()
    learned = [*model.online.parameters(), *model.predictor.parameters()]
    optimizer = torch.optim.SGD(learned, lr=0.05, momentum=0.9, fused=True)
    begin = time.perf_counter()
    for epoch in range(6):
        for rows in torch.randperm(len(bank)).split(250):
            clean = bank[rows]
            loss = model(clean + 0.3 * torch.randn_like(clean), clean + 0.3 * torch.randn_like(clean))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            model.advance(0.99)
        print(f"epoch {epoch}: {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()
