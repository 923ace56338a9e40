"""Charges of atoms from their bonds: three rounds of messages over a batch of molecules of one size."""

import time

import torch
from torch import nn


class Messages(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.say = nn.Linear(width, width)
        self.hear = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, atoms, bonds):
        heard = bonds @ self.say(atoms)
        return atoms + self.hear(torch.cat([atoms, heard], 2))


class Charges(nn.Module):
    def __init__(self, kinds=10, width=96, rounds=3):
        super().__init__()
        self.kind = nn.Embedding(kinds, width)
        self.rounds = nn.ModuleList(Messages(width) for _ in range(rounds))
        self.charge = nn.Linear(width, 1)

    def forward(self, kinds, bonds):
        atoms = self.kind(kinds)
        for messages in self.rounds:
            atoms = messages(atoms, bonds)
        charge = self.charge(atoms).squeeze(2)
        return charge - charge.mean(1, keepdim=True)


def molecules(count, atoms=24):
    kinds = torch.randint(10, (count, atoms))
    linked = (torch.rand(count, atoms, atoms) < 0.1).float()
    linked = ((linked + linked.transpose(1, 2)) > 0).float()
    bonds = linked / linked.sum(2, keepdim=True).clamp(min=1)
    pull = torch.linspace(-1, 1, 10)[kinds]
    charge = pull - (bonds @ pull[:, :, None]).squeeze(2)
    return kinds, bonds, charge - charge.mean(1, keepdim=True)


def main():
    torch.manual_seed(10)
    kinds, bonds, charge = molecules(4000)
    net = Charges()
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, fused=True)
    start = time.perf_counter()
    for epoch in range(6):
        total = torch.zeros(())
        for rows in torch.randperm(4000).split(50):
            loss = (net(kinds[rows], bonds[rows]) - charge[rows]).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        print(f"epoch {epoch}: {total.item() / 80:.4f}")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main()
