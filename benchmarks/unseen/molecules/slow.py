"""Message passing on random molecules; properties are predicted for a batch of graphs at once."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from model import MoleculeNet

from torch.utils.data import DataLoader


@dataclass
class Molecule:
    atoms: np.ndarray
    bonds: np.ndarray
    target: float


def sample(rng):
    size = int(rng.integers(20, 40))
    atoms = rng.integers(0, 12, size)
    bonds = rng.integers(0, size, (3 * size, 2))
    return Molecule(atoms, bonds, float((atoms == 3).mean()))


def batch_of(molecules):
    atoms, sources, targets, owner, first = [], [], [], [], 0
    for number, molecule in enumerate(molecules):
        for atom in molecule.atoms:
            atoms.append(int(atom))
            owner.append(number)
        for source, target in molecule.bonds:  # slowprobe: rule=collate-heavy
            sources.append(int(source) + first)
            targets.append(int(target) + first)
        first += len(molecule.atoms)
    bonds = torch.tensor([sources, targets])
    atoms, owner = torch.tensor(atoms), torch.tensor(owner)
    return atoms, bonds, owner, torch.tensor([molecule.target for molecule in molecules])


def train():
    rng = np.random.default_rng(5)
    torch.manual_seed(5)
    molecules = [sample(rng) for _ in range(2560)]
    net = MoleculeNet(width=48)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    loader = DataLoader(molecules, batch_size=64, shuffle=True, collate_fn=batch_of)
    t = time.perf_counter()
    for epoch in range(6):
        for atoms, bonds, owner, target in loader:
            error = torch.nn.functional.huber_loss(net(atoms, bonds, owner, len(target)), target)
            net.zero_grad()
            error.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: {error.item():.5f}")
    return time.perf_counter() - t


print(f"loop_seconds={train():.4f}")
