"""Q-learning on a made-up environment: the target network follows tensor by tensor after each step."""

import copy
import time

import torch
from torch import nn


class Agent:
    def __init__(self, heads=24):
        trunk = [layer for _ in range(10) for layer in (nn.Linear(20, 20), nn.LayerNorm(20), nn.ELU())]
        self.online = nn.ModuleDict(
            {"trunk": nn.Sequential(*trunk), "heads": nn.ModuleList(nn.Linear(20, 4) for _ in range(heads))}
        )
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.learned = 0
        self.optimizer = torch.optim.Adam(self.online.parameters(), lr=1e-4, fused=True)

    def values(self, network, state):
        hidden = network["trunk"](state)
        weights = torch.stack([head.weight for head in network["heads"]]).mean(0)
        return nn.functional.linear(hidden, weights)

    def follow(self, rate=0.005):
        online, target = self.online.state_dict(), self.target.state_dict()
        for name, value in online.items():
            moved = target[name] * (1 - rate) + value * rate
            target[name].copy_(moved)
        self.target.load_state_dict(target)

    def learn(self, state, action, reward, following):
        with torch.no_grad():
            goal = reward + 0.99 * self.values(self.target, following).max(dim=1).values
        chosen = self.values(self.online, state).gather(1, action[:, None]).squeeze(1)
        loss = nn.functional.huber_loss(chosen, goal)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.learned += 1
        if self.learned % 200 == 0:
            self.follow(1.0)


torch.manual_seed(10)
agent = Agent()
memory = torch.randn(5_000, 20)
start = time.perf_counter()
for _ in range(1_500):
    at = torch.randint(len(memory) - 1, (64,))
    agent.learn(memory[at], torch.randint(4, (64,)), torch.rand(64), memory[at + 1])
print(f"loop_seconds={time.perf_counter() - start:.4f}")
