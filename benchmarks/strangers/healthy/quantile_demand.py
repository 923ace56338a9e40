"""How many loaves tomorrow? Three quantiles of the demand of a bakery's shops."""

import time

import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

QUANTILES = torch.tensor([0.1, 0.5, 0.9])


def demand(count, seed):
    torch.manual_seed(seed)
    x = torch.randn(count, 48)
    level = x[:, :6].sum(1) + torch.sin(2 * x[:, 6])
    return TensorDataset(x, level + (0.2 + x[:, 7].abs()) * torch.randn(count))


def pinball(guess, truth):
    miss = truth[:, None] - guess
    return torch.maximum(QUANTILES * miss, (QUANTILES - 1) * miss).mean()


def whole_batches(dataset, size):
    """The sampler gives lists of indices, so that a batch is one look into the tensors."""
    return DataLoader(dataset, batch_size=None, sampler=BatchSampler(RandomSampler(dataset), size, drop_last=True))


class Baker:
    def __init__(self):
        self.model = nn.Sequential(
            nn.Linear(48, 320), nn.BatchNorm1d(320), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(320, 320), nn.BatchNorm1d(320), nn.ReLU(), nn.Linear(320, 3),
        )  # fmt: skip
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 2e-3, weight_decay=1e-3, fused=True)
        self.plan = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, patience=1)

    def learn(self, loader):
        self.model.train()
        for x, y in loader:
            loss = pinball(self.model(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    @torch.inference_mode()
    def check(self, dataset):
        self.model.eval()
        x, y = dataset.tensors
        loss = pinball(self.model(x), y).item()
        self.plan.step(loss)
        return loss


if __name__ == "__main__":
    past, today = demand(40_960, 1), demand(2048, 2)
    baker = Baker()
    loader = whole_batches(past, 512)
    start = time.perf_counter()
    for week in range(5):
        baker.learn(loader)
        print(f"week {week}: {baker.check(today):.4f}")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")
