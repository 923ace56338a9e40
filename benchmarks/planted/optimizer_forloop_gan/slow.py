"""A GAN on points in a plane whose two networks have a small layer for each of many modes."""

import time

import torch
from torch import nn

MODES = 80


class Modes(nn.Module):
    """A linear layer for each mode; a sample uses all of them at once."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weights = nn.ParameterList(torch.randn(outputs, inputs) * 0.3 for _ in range(MODES))
        self.biases = nn.ParameterList(torch.zeros(outputs) for _ in range(MODES))

    def forward(self, x):
        weight, bias = torch.stack([*self.weights]).mean(0), torch.stack([*self.biases]).mean(0)
        return nn.functional.linear(x, weight, bias)


def network(inputs, outputs):
    return nn.Sequential(Modes(inputs, 12), nn.LeakyReLU(0.2), Modes(12, outputs))


torch.manual_seed(15)
generator, critic = network(4, 2), network(2, 1)
optimizers = {
    name: torch.optim.AdamW(module.parameters(), lr=1e-3)  # slowprobe: rule=optimizer-forloop
    for name, module in {"generator": generator, "critic": critic}.items()
}
began = time.perf_counter()
for _ in range(170):
    real, fake = torch.randn(64, 2) + 2, generator(torch.randn(64, 4))
    loss = nn.functional.softplus(critic(fake.detach())).mean() + nn.functional.softplus(-critic(real)).mean()
    optimizers["critic"].zero_grad()
    loss.backward()
    optimizers["critic"].step()
    critic.requires_grad_(False)
    loss = nn.functional.softplus(-critic(fake)).mean()
    optimizers["generator"].zero_grad()
    loss.backward()
    optimizers["generator"].step()
    critic.requires_grad_(True)
print(f"loop_seconds={time.perf_counter() - began:.4f}")
