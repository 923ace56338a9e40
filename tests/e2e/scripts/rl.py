"""REINFORCE on a made environment: many forward passes, one optimizer step an episode."""

import torch
from fingerprint import seed, show
from torch import nn


class Corridor:
    def __init__(self, length):
        self.length = length

    def reset(self):
        self.position, self.time = 0, 0
        return self.state()

    def state(self):
        return torch.tensor([self.position / self.length, self.time / 50])

    def step(self, action):
        self.position += 1 if action == 1 else -1
        self.time += 1
        return self.state(), float(self.position > 0), self.time >= 12


seed(8)
policy = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
environment = Corridor(10)
losses = []
for episode in range(15):
    state, done, log_probabilities, rewards = environment.reset(), False, [], []
    while not done:
        distribution = torch.distributions.Categorical(logits=policy(state))
        action = distribution.sample()
        log_probabilities.append(distribution.log_prob(action))
        state, reward, done = environment.step(action.item())
        rewards.append(reward)
    loss = -(torch.stack(log_probabilities) * (sum(rewards) - 6)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
show(losses, policy)
