"""The network of the molecules."""

import torch
from torch import nn


class Message(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.edge = nn.Linear(2 * width, width)
        self.node = nn.Linear(width, width)

    def forward(self, hidden, bonds):
        messages = torch.relu(self.edge(torch.cat([hidden[bonds[0]], hidden[bonds[1]]], dim=1)))
        gathered = torch.zeros_like(hidden).index_add(0, bonds[1], messages)
        return hidden + torch.relu(self.node(gathered))


class MoleculeNet(nn.Module):
    def __init__(self, width, depth=2):
        super().__init__()
        self.atom = nn.Embedding(12, width)
        self.layers = nn.ModuleList(Message(width) for _ in range(depth))
        self.readout = nn.Linear(width, 1)

    def forward(self, atoms, bonds, owner, graphs):
        hidden = self.atom(atoms)
        for layer in self.layers:
            hidden = layer(hidden, bonds)
        pooled = hidden.new_zeros(graphs, hidden.shape[1]).index_add(0, owner, hidden)
        return self.readout(pooled).squeeze(1)
