"""A trainer with callbacks over a metric-learning task."""

import gc
import time

import torch
import torch.nn.functional as F
from torch import nn


class Callback:
    def on_step_end(self, trainer): ...

    def on_epoch_end(self, trainer): ...


class Progress(Callback):
    def on_epoch_end(self, trainer):
        print(f"epoch {trainer.epoch}: loss {trainer.loss.item():.4f}")


class MemoryGuard(Callback):
    """Keeps the memory small."""

    def on_step_end(self, trainer):
        if trainer.step % 150 == 149:
            gc.collect()


class Trainer:
    def __init__(self, model, optimizer, callbacks):
        self.model, self.optimizer, self.callbacks = model, optimizer, callbacks
        self.epoch = self.step = 0
        self.loss = None

    def fire(self, event):
        for callback in self.callbacks:
            getattr(callback, event)(self)

    def fit(self, batches, epochs):
        for self.epoch in range(epochs):
            for anchor, same, other in batches():
                self.loss = self.training_step(anchor, same, other)
                self.step += 1
                self.fire("on_step_end")
            self.fire("on_epoch_end")

    def training_step(self, anchor, same, other):
        one, two, three = self.model(torch.cat([anchor, same, other])).chunk(3)
        loss = F.triplet_margin_loss(one, two, three, margin=0.4)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def make_batches(identities=500, width=128, size=320, steps=150):
    centres = torch.randn(identities, width)

    def batches():
        for _ in range(steps):
            one = torch.randint(0, identities, (size,))
            two = (one + torch.randint(1, identities, (size,))) % identities
            noise = 0.3 * torch.randn(3, size, width)
            yield centres[one] + noise[0], centres[one] + noise[1], centres[two] + noise[2]

    return batches


if __name__ == "__main__":
    torch.manual_seed(0)
    index = {f"image-{number}": [number, {"split": "train"}] for number in range(40_000)}
    net = nn.Sequential(nn.Linear(128, 512), nn.PReLU(), nn.Linear(512, 256), nn.PReLU(), nn.Linear(256, 64))
    trainer = Trainer(net, torch.optim.Adam(net.parameters(), 1e-3, fused=True), [MemoryGuard(), Progress()])
    begin = time.perf_counter()
    trainer.fit(make_batches(), epochs=2)
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")
    print(len(index), "images known")
