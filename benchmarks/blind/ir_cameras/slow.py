"""Where is the leak? Whole pictures of infrared cameras go straight into one wide layer, eight pictures at a time."""

import time

import torch
from torch import nn

HEIGHT, WIDTH, BATCH = 128, 96, 8


class LeakFinder(nn.Module):
    def __init__(self, hidden=1024):
        super().__init__()
        self.wide = nn.Linear(HEIGHT * WIDTH, hidden)
        self.spot = nn.Linear(hidden, 2)

    def forward(self, picture):
        return self.spot(torch.relu(self.wide(picture.flatten(1))))


def pictures(rows, columns):
    leak = torch.rand(BATCH, 2)
    apart = (rows - leak[:, 0, None, None]).square() + (columns - leak[:, 1, None, None]).square()
    return torch.exp(-40 * apart) + 0.1 * torch.randn(BATCH, HEIGHT, WIDTH), leak


def fit(model, steps):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.002, fused=True)
    rows, columns = torch.linspace(0, 1, HEIGHT)[:, None], torch.linspace(0, 1, WIDTH)
    running = 0.0
    for step in range(steps):
        picture, leak = pictures(rows, columns)
        loss = nn.functional.mse_loss(model(picture), leak)
        optimizer.zero_grad(set_to_none=False)  # slowprobe: rule=zero-grad-memset
        loss.backward()
        optimizer.step()
        running += loss.item()
        if step % 40 == 39:
            print(f"{step + 1} steps, loss {running / 40:.4f}")
            running = 0.0


if __name__ == "__main__":
    torch.manual_seed(0)
    model = LeakFinder()
    start = time.perf_counter()
    fit(model, 120)
    print(f"loop_seconds={time.perf_counter() - start:.4f}")
