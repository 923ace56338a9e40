"""A generator and a critic for correlated vectors."""

import time

import torch
from torch import nn
from torch.nn.functional import softplus


def block(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.LeakyReLU(0.2))


class Generator(nn.Sequential):
    def __init__(self):
        super().__init__(block(16, 96), block(96, 96), nn.Linear(96, 24))


class Critic(nn.Sequential):
    def __init__(self):
        super().__init__(block(24, 96), block(96, 96), nn.Linear(96, 1))


def check(generator, critic):
    """One careful pass before training: NaN in a backward pass would be named."""
    with torch.autograd.detect_anomaly(check_nan=True):
        softplus(-critic(generator(torch.randn(8, 16)))).mean().backward()


def train(rounds):
    mixing = torch.randn(24, 24)
    generator, critic = Generator(), Critic()
    check(generator, critic)
    g_optimizer = torch.optim.Adam(generator.parameters(), 2e-4, betas=(0.5, 0.99), fused=True)
    c_optimizer = torch.optim.Adam(critic.parameters(), 4e-4, betas=(0.5, 0.99), fused=True)
    begin = time.perf_counter()
    for number in range(rounds):
        real = torch.randn(96, 24) @ mixing
        fake = generator(torch.randn(96, 16))
        critic.requires_grad_(True)
        c_loss = softplus(-critic(real)).mean() + softplus(critic(fake.detach())).mean()
        c_optimizer.zero_grad()
        c_loss.backward()
        c_optimizer.step()
        critic.requires_grad_(False)
        g_loss = softplus(-critic(fake)).mean()
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()
        if number % 250 == 0:
            print(f"{number}: critic {c_loss.item():.3f} generator {g_loss.item():.3f}")
    return time.perf_counter() - begin


torch.manual_seed(40)
print(f"loop_seconds={train(1000):.4f}")
