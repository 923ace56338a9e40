"""REINFORCE with a baseline on many bandits that are played at once."""

import time

import torch
from torch import nn

BANDITS, ARMS, CONTEXT = 1024, 6, 64


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(CONTEXT, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, ARMS)
        )

    def forward(self, context):
        return self.net(context).log_softmax(1)


def play(worth, context, arms):
    return (context @ worth).gather(1, arms[:, None]).squeeze(1) + torch.randn(len(arms))


torch.manual_seed(0)
worth = torch.randn(CONTEXT, ARMS)
policy, baseline = Policy(), 0.0
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3, fused=True)
begin = time.perf_counter()
for turn in range(350):
    context = torch.randn(BANDITS, CONTEXT)
    log_chances = policy(context)
    arms = torch.multinomial(log_chances.detach().exp(), 1).squeeze(1)
    rewards = play(worth, context, arms)
    loss = -((rewards - baseline) * log_chances.gather(1, arms[:, None]).squeeze(1)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    baseline += 0.05 * (rewards.mean().item() - baseline)
    if turn % 100 == 0:
        print(f"turn {turn}: reward {baseline:.3f}")
print(f"loop_seconds={time.perf_counter() - begin:.4f}")
