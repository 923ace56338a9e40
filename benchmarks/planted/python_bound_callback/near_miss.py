"""A trainer with callbacks; one of them recomputes a running ranking after each step."""

import random
import time

import torch
from torch import nn


class Callback:
    def after_step(self, trainer):
        pass


class LossHistory(Callback):
    def __init__(self):
        self.losses = []

    def after_step(self, trainer):
        self.losses.append(trainer.loss)


class HardestSamples(Callback):
    """Keeps the samples with the largest loss seen, sorted."""

    def __init__(self, keep=100):
        self.keep, self.seen = keep, [(random.random(), number) for number in range(keep)]

    def after_step(self, trainer):
        worst = max(trainer.per_sample)
        self.seen += [(worst, trainer.rows[0])]
        self.seen = sorted(self.seen, key=lambda pair: (-pair[0], pair[1]))[: self.keep]


class Trainer:
    def __init__(self, callbacks):
        torch.manual_seed(2)
        self.callbacks = callbacks
        self.inputs, self.targets = torch.randn(30_000, 48), torch.randn(30_000, 1)
        self.model = nn.Sequential(nn.Linear(48, 96), nn.GELU(), nn.Linear(96, 1))
        self.optimizer = torch.optim.Adam(self.model.parameters(), fused=True)

    def fit(self, steps):
        for _ in range(steps):
            rows = torch.randint(len(self.inputs), (256,))
            losses = (self.model(self.inputs[rows]) - self.targets[rows]).square().squeeze(1)
            self.optimizer.zero_grad()
            losses.mean().backward()
            self.optimizer.step()
            self.loss, self.per_sample, self.rows = losses.mean().item(), losses.tolist(), rows.tolist()
            for callback in self.callbacks:
                callback.after_step(self)


if __name__ == "__main__":
    random.seed(0)
    trainer = Trainer([LossHistory(), HardestSamples()])
    start = time.perf_counter()
    trainer.fit(4_200)
    seconds = time.perf_counter() - start
    print(trainer.loss)
    print(f"loop_seconds={seconds:.4f}")
