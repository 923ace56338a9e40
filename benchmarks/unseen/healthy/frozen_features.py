"""A new head on frozen features that are computed once."""

import time

import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset


class HeadTrainer:
    def __init__(self, head, loader):
        self.head, self.loader = head, loader
        self.optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, fused=True)
        self.hooks = []

    def on_epoch(self, hook):
        self.hooks.append(hook)
        return hook

    def run(self, epochs):
        for epoch in range(epochs):
            total = torch.zeros(())
            for features, label in self.loader:
                loss = nn.functional.cross_entropy(self.head(features), label)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                total += loss.detach()
            for hook in self.hooks:
                hook(epoch, total.item() / len(self.loader))


torch.manual_seed(0)
backbone = nn.Sequential(nn.Linear(128, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU()).eval()
raw = torch.randn(12_000, 128)
with torch.inference_mode():
    features = torch.cat([backbone(part) for part in raw.split(1000)])
data = TensorDataset(features.clone(), (raw[:, 0] > 0).long() + 2 * (raw[:, 1] > 0).long())
loader = DataLoader(data, sampler=BatchSampler(RandomSampler(data), 200, False), batch_size=None)
trainer = HeadTrainer(nn.Sequential(nn.Linear(512, 768), nn.ReLU(), nn.Linear(768, 4)), loader)


@trainer.on_epoch
def show(epoch, loss):
    print(f"epoch {epoch}: {loss:.4f}")


begin = time.perf_counter()
trainer.run(8)
print(f"loop_seconds={time.perf_counter() - begin:.4f}")
