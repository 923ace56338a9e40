"""Two models, two optimizers, one turn of the loop: the discriminator twice, the generator once."""

import torch
from fingerprint import seed, show
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, z):
        return self.net(z)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(), nn.Linear(16, 1))

    def forward(self, x):
        return self.net(x)


seed(5)
generator, discriminator = Generator(), Discriminator()
loader = DataLoader(TensorDataset(torch.randn(160, 2)), batch_size=8, shuffle=True)
optimizer_g = torch.optim.Adam(generator.parameters(), lr=1e-3)
optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
bce = nn.BCEWithLogitsLoss()
losses = []
for epoch in range(2):
    for (real,) in loader:
        for _ in range(2):
            optimizer_d.zero_grad()
            fake = generator(torch.randn(len(real), 4)).detach()
            d_loss = bce(discriminator(real), torch.ones(len(real), 1)) + bce(
                discriminator(fake), torch.zeros(len(real), 1)
            )
            d_loss.backward()
            optimizer_d.step()
        optimizer_g.zero_grad()
        g_loss = bce(discriminator(generator(torch.randn(len(real), 4))), torch.ones(len(real), 1))
        g_loss.backward()
        optimizer_g.step()
        losses += [d_loss.item(), g_loss.item()]
show(losses, generator, discriminator)
