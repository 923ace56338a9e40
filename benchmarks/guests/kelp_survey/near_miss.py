"""How dense is the kelp? Echo profiles of a boat become a density, checked against divers after each pass."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class KelpTrainer:
    def __init__(self, echoes, density, divers):
        self.data = echoes, density
        self.divers = DataLoader(TensorDataset(*divers), batch_size=2)
        self.net = nn.Sequential(
            nn.Conv1d(4, 24, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv1d(24, 32, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv1d(32, 32, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 16, 1),
        )
        self.optimizer = torch.optim.Adam(self.net.parameters(), 1e-3, fused=True)

    def learn(self, batch=128):
        self.net.train()
        echoes, density = self.data
        for rows in torch.randperm(len(echoes)).split(batch):
            loss = (self.net(echoes[rows]).squeeze(1) - density[rows]).square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    @torch.inference_mode()
    def check(self):
        self.net.eval()
        off = torch.zeros(())
        for echoes, density in self.divers:
            off += (self.net(echoes).squeeze(1) - density).abs().sum()
        return off.item() / len(self.divers.dataset)

    def run(self, passes):
        for n in range(passes):
            self.learn()
            print(f"pass {n}: off by {self.check():.3f}")


def survey(count):
    density = torch.rand(count)
    return density[:, None, None] * torch.randn(count, 4, 128) + 0.1 * torch.randn(count, 4, 128), density


torch.manual_seed(19)
trainer = KelpTrainer(*survey(5120), divers=survey(40))
tick = time.perf_counter()
trainer.run(passes=16)
print(f"loop_seconds={time.perf_counter() - tick:.3f}")
