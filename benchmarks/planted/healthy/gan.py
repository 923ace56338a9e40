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
generator, critic = (network.to(memory_format=torch.channels_last) for network in (generator, critic))
of_generator = torch.optim.Adam(generator.parameters(), 2e-4, fused=True)
of_critic = torch.optim.Adam(critic.parameters(), 2e-4, fused=True)
pictures = torch.rand(2_000, 1, 16, 16).contiguous(memory_format=torch.channels_last)
start = time.perf_counter()
for _ in range(95):
    real = pictures[torch.randint(len(pictures), (64,))]
    fake = generator(torch.randn(64, 32))
    score = critic(real)
    loss = (critic(fake.detach()) - score).mean() + 0.1 * score.square().mean()
    of_critic.zero_grad()
    loss.backward()
    of_critic.step()
    critic.requires_grad_(False)
    loss = -critic(fake).mean()
    of_generator.zero_grad()
    loss.backward()
    of_generator.step()
    critic.requires_grad_(True)
print(f"loop_seconds={time.perf_counter() - start:.4f}")
