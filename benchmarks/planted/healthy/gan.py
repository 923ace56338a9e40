"""Two convnets against each other."""

import time

import torch
from torch import nn

torch.manual_seed(4)
generator = nn.Sequential(
    nn.Linear(32, 64 * 16),
    nn.Unflatten(1, (64, 4, 4)),
    nn.ReLU(),
    nn.ConvTranspose2d(64, 64, 4, 2, 1),
    nn.ReLU(),
    nn.ConvTranspose2d(64, 1, 4, 2, 1),
)
critic = nn.Sequential(
    nn.Conv2d(1, 64, 4, 2, 1),
    nn.LeakyReLU(0.2),
    nn.Conv2d(64, 64, 4, 2, 1),
    nn.LeakyReLU(0.2),
    nn.Flatten(),
    nn.Linear(64 * 16, 1),
)
of_generator = torch.optim.Adam(generator.parameters(), 2e-4, fused=True)
of_critic = torch.optim.Adam(critic.parameters(), 2e-4, fused=True)
pictures = torch.rand(2_000, 1, 16, 16)
start = time.perf_counter()
for _ in range(95):
    real = pictures[torch.randint(len(pictures), (64,))]
    fake = generator(torch.randn(64, 32))
    loss = (critic(fake.detach()) - critic(real)).mean() + 0.1 * critic(real).square().mean()
    of_critic.zero_grad()
    loss.backward()
    of_critic.step()
    loss = -critic(fake).mean()
    of_generator.zero_grad()
    loss.backward()
    of_generator.step()
print(f"loop_seconds={time.perf_counter() - start:.4f}")
