"""A policy keeps many balloons over a station: actor and critic on vectorised weather."""

import time

import torch
from torch import nn
from torch.distributions import Normal

BALLOONS, HORIZON, ROUNDS, PARTS = 1024, 8, 60, 8


class Winds:
    def __init__(self, count):
        self.height, self.place = torch.rand(count, 1), torch.randn(count, 2)
        self.mood = torch.randn(count, 4)

    def look(self):
        return torch.cat([self.height, self.place, self.mood], 1)

    def move(self, climb):
        self.height = (self.height + 0.1 * torch.tanh(climb)).clamp(0, 1)
        wind = self.mood[:, :2] * self.height + self.mood[:, 2:] * (1 - self.height)
        self.place = self.place + 0.1 * wind
        self.mood = 0.98 * self.mood + 0.2 * torch.randn_like(self.mood)
        return -self.place.norm(dim=1)


class Pilot(nn.Module):
    def __init__(self, width=192):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(7, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
        self.heads = nn.Linear(width, 2)
        self.spread = nn.Parameter(torch.zeros(1))

    def forward(self, view):
        climb, worth = self.heads(self.body(view)).chunk(2, 1)
        return Normal(climb, self.spread.exp(), validate_args=False), worth.squeeze(1)


@torch.no_grad()
def fly(pilot, winds):
    views, climbs, odds, rewards, worths = [], [], [], [], []
    for _ in range(HORIZON):
        view = winds.look()
        choice, worth = pilot(view)
        climb = choice.sample()
        views.append(view)
        climbs.append(climb)
        odds.append(choice.log_prob(climb).squeeze(1))
        worths.append(worth)
        rewards.append(winds.move(climb))
    gain = pilot(winds.look())[1]
    gains = []
    for reward in reversed(rewards):
        gain = 0.05 * reward + 0.95 * gain
        gains.append(gain)
    gains = torch.cat(gains[::-1])
    ahead = gains - torch.cat(worths)
    return torch.cat(views), torch.cat(climbs), torch.cat(odds), gains, (ahead - ahead.mean()) / ahead.std()


torch.manual_seed(55)
winds, pilot = Winds(BALLOONS), Pilot()
optimizer = torch.optim.Adam(pilot.parameters(), 1e-3, fused=True)

start = time.perf_counter()
for turn in range(ROUNDS):
    views, climbs, odds, gains, ahead = fly(pilot, winds)
    for _ in range(2):
        for rows in torch.randperm(len(views)).chunk(PARTS):
            choice, worth = pilot(views[rows])
            ratio = (choice.log_prob(climbs[rows]).squeeze(1) - odds[rows]).exp()
            gain = torch.minimum(ratio * ahead[rows], ratio.clamp(0.8, 1.2) * ahead[rows])
            loss = 0.5 * (worth - gains[rows]).square().mean() - gain.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    if turn % 10 == 0:
        print(f"round {turn}: gain {gains.mean().item():.3f}")
print(f"loop_seconds={time.perf_counter() - start:.3f}")
