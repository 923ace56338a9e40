"""The fixed twin of ema_loop_slow.py: one call updates the average of all parameters."""

import argparse
import time

import torch
from torch import nn

COLUMNS = 600
WIDTH = 16


class Tabular(nn.Module):
    """Embeds each column with its own weight and bias, then a two-layer network over all of them."""

    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([torch.randn(WIDTH) for _ in range(COLUMNS)])
        self.biases = nn.ParameterList([torch.zeros(WIDTH) for _ in range(COLUMNS)])
        self.weight_list, self.bias_list = list(self.weights), list(self.biases)  # ParameterList is slow to read
        self.network = nn.Sequential(nn.Linear(COLUMNS * WIDTH, 48), nn.ReLU(), nn.Linear(48, 1))

    def forward(self, x):
        embedded = x[:, :, None] * torch.stack(self.weight_list) + torch.stack(self.bias_list)
        return self.network(embedded.flatten(1)).squeeze(1)


class Average:
    """The exponential moving average of a model's parameters, for evaluation."""

    def __init__(self, model, decay):
        self.decay = decay
        self.shadow = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        self.averages, self.parameters = list(self.shadow.values()), list(model.parameters())

    @torch.no_grad()
    def update(self, model):
        torch._foreach_lerp_(self.averages, self.parameters, 1 - self.decay)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600)
    args = parser.parse_args()

    torch.manual_seed(0)
    table = torch.randn(20_000, COLUMNS)
    target = table[:, :10].sum(dim=1).tanh()
    model = Tabular()
    average = Average(model, decay=0.99)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, fused=True)

    started = time.perf_counter()
    for step in range(args.steps):
        rows = torch.randint(len(table), (64,))
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(table[rows]), target[rows])
        loss.backward()
        optimizer.step()
        average.update(model)
        if (step + 1) % 50 == 0:
            print(f"step {step + 1} loss {loss.item():.5f}")
    print(f"averaged bias {sum(b.abs().sum().item() for n, b in average.shadow.items() if 'biases' in n):.5f}")
    print(f"loop {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
