"""Learning to continue the swing of a damped spring (exported from a notebook)."""

# %% imports and settings
import time

import torch
from torch import nn

torch.manual_seed(7)

BATCH, AHEAD, HIDDEN, STEPS = 256, 14, 128, 200


# %% data: position and speed of springs with unknown stiffness and friction
def swings(count):
    stiff = 1 + 3 * torch.rand(count, 1)
    friction = 0.3 * torch.rand(count, 1)
    phase = 6.28 * torch.rand(count, 1)
    when = 0.1 * torch.arange(AHEAD + 1)
    envelope = torch.exp(-friction * when)
    place = envelope * torch.cos(stiff * when + phase)
    speed = -envelope * (friction * torch.cos(stiff * when + phase) + stiff * torch.sin(stiff * when + phase))
    return torch.stack([place, speed], 2), torch.cat([stiff, friction], 1)


# %% model
class Swing(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = nn.Linear(2, HIDDEN)
        self.gates = nn.Linear(HIDDEN + 2, 3 * HIDDEN)
        self.push = nn.Linear(HIDDEN, 2)

    def forward(self, state, nature):
        hidden = torch.tanh(self.start(nature))
        path = []
        for _ in range(AHEAD):
            reset, keep, new = self.gates(torch.cat([state, hidden], 1)).chunk(3, 1)
            candidate = torch.tanh(new * torch.sigmoid(reset))
            hidden = torch.lerp(candidate, hidden, torch.sigmoid(keep))
            state = state + 0.1 * self.push(hidden)
            path.append(state)
        return torch.stack(path, 1)


# %% training
model = Swing()
opt = torch.optim.Adam(model.parameters(), lr=1e-3)
losses = []
t0 = time.perf_counter()
for it in range(STEPS):
    path, nature = swings(BATCH)
    with torch.autograd.set_detect_anomaly(it == 0):
        loss = (model(path[:, 0], nature) - path[:, 1:]).pow(2).mean()
        opt.zero_grad()
        loss.backward()
    opt.step()
    losses.append(loss.item())
t1 = time.perf_counter()

# %% result
print("first", losses[0], "last", losses[-1])
print(f"loop_seconds={t1 - t0:.3f}")
