"""Few-shot episodes with prototypes: classes are drawn anew for every step."""

import time

import torch
from torch import nn

WAYS, SHOTS, QUERIES = 10, 5, 15


class Episodes:
    def __init__(self, classes=200, width=400):
        self.centres = torch.randn(classes, width)

    def __iter__(self):
        while True:
            centres = self.centres[torch.randperm(len(self.centres))[:WAYS]]
            yield centres[:, None] + 0.9 * torch.randn(WAYS, SHOTS + QUERIES, centres.shape[1])


def main():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(400, 900), nn.ReLU(), nn.Linear(900, 600), nn.ReLU(), nn.Linear(600, 64))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4, fused=True)
    goal = torch.arange(WAYS).repeat_interleave(QUERIES)
    seen = 0.0
    begin = time.perf_counter()
    for episode, samples in zip(range(400), Episodes()):
        codes = model(samples)
        prototypes = codes[:, :SHOTS].mean(1)
        scores = -torch.cdist(codes[:, SHOTS:].flatten(0, 1), prototypes)
        loss = nn.functional.cross_entropy(scores, goal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += loss.item()
        if episode % 100 == 99:
            print(f"{episode + 1} episodes, mean loss {seen / 100:.4f}")
            seen = 0.0
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()
