"""Trains a sequence model whose recurrent layer is a Python loop over time steps, a dozen small operators each."""

import argparse
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Recurrent(nn.Module):
    """A long short-term memory layer written out by hand."""

    def __init__(self, inputs, hidden):
        super().__init__()
        self.hidden = hidden
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden, inputs))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden))
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)

    def forward(self, x):
        hidden = cell = x.new_zeros(len(x), self.hidden)
        outputs = []
        for t in range(x.shape[1]):
            gates = x[:, t] @ self.weight_ih.T + self.bias_ih
            gates = gates + hidden @ self.weight_hh.T + self.bias_hh  # slowprobe: rule=tiny-op-loop
            enter, forget, value, leave = gates.chunk(4, dim=1)
            cell = forget.sigmoid() * cell + enter.sigmoid() * value.tanh()
            hidden = leave.sigmoid() * cell.tanh()
            outputs.append(hidden)
        return torch.stack(outputs, dim=1)


class Tagger(nn.Module):
    def __init__(self, inputs, hidden, classes):
        super().__init__()
        self.recurrent = Recurrent(inputs, hidden)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x):
        return self.head(self.recurrent(x))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()

    torch.manual_seed(0)
    series = torch.randn(2_048, 60, 32)
    labels = (series[..., 0].cumsum(dim=1) > 0).long()
    loader = DataLoader(TensorDataset(series, labels), batch_size=64, shuffle=True)
    model = Tagger(32, 128, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss()

    started = time.perf_counter()
    for epoch in range(args.epochs):
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x).flatten(0, 1), y.flatten())
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch} loss {total / len(loader):.5f}")
    print(f"loop {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
