"""Tomorrow's level of a reservoir from rain, snow and the gates. A report tells how restless the memory is."""

import time

import torch
from torch import nn


class Reservoir(nn.Module):
    def __init__(self, inputs=8, width=96):
        super().__init__()
        self.recur = nn.GRU(inputs, width, batch_first=True)
        self.read = nn.Linear(width, 1)

    def forward(self, weather):
        memory, _ = self.recur(weather)
        return self.read(memory).squeeze(2), memory


def years(count, days=60):
    weather = torch.randn(count, days, 8)
    level = torch.zeros(count)
    levels = []
    for day in range(days):
        level = 0.95 * level + 0.3 * weather[:, day, 0] - 0.1 * weather[:, day, 1].relu()
        levels.append(level)
    return weather, torch.stack(levels, 1)


class Report:
    def __init__(self):
        self.rows = {"loss": [], "restless": []}

    def add(self, **values):
        for name, value in values.items():
            self.rows[name].append(value)  # slowprobe: rule=memory-creep

    def mean(self, name):
        return sum(self.rows[name]) / len(self.rows[name])


torch.manual_seed(23)
weather, levels = years(4800)
net, report = Reservoir(), Report()
optimizer = torch.optim.Adam(net.parameters(), 2e-3, fused=True)

begun = time.perf_counter()
for epoch in range(3):
    for rows in torch.randperm(len(weather)).split(64):
        guess, memory = net(weather[rows])
        loss = (guess - levels[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        restless = (memory[:, 1:] - memory[:, :-1]).square().mean()
        report.add(loss=loss.item(), restless=restless)  # slowprobe: rule=memory-creep
    print(f"epoch {epoch}: loss {report.mean('loss'):.4f} restless {report.mean('restless'):.4f}")
print(f"loop_seconds={time.perf_counter() - begun:.3f}")
