"""The same, with cycles left to automatic collections."""

import random
import time

import torch
from torch import nn


class Event:
    """What happened in a step, with a reference back to itself through its context."""

    def __init__(self, step, triples):
        self.step, self.triples = step, [[a, b, c] for a, b, c in triples]
        self.context = {"event": self}


def graph(size):
    rng = random.Random(5)
    return [[rng.randrange(600), [rng.randrange(20)], rng.randrange(600)] for _ in range(size)]


def main():
    facts = graph(900_000)
    entities, relations = nn.Embedding(600, 16), nn.Embedding(20, 16)
    scorer = nn.Sequential(nn.Linear(16, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 1))
    model = nn.ModuleList([entities, relations, scorer])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    started = time.perf_counter()
    for step in range(600):
        chosen = random.sample(facts, 128)
        event = Event(step, chosen)
        heads, kinds, tails = zip(*((a, b[0], c) for a, b, c in event.triples), strict=True)
        distance = entities(torch.tensor(heads)) + relations(torch.tensor(kinds)) - entities(torch.tensor(tails))
        loss = (scorer(distance) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loss {loss.item():.3f}")
    print(f"loop_seconds={time.perf_counter() - started:.4f}")


if __name__ == "__main__":
    main()
