"""Regression with a logger that formats a report of all layers for every step."""

import logging
import sys
import time

import torch
from torch import nn

log = logging.getLogger("train")
handler = logging.StreamHandler(sys.stderr)
handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
log.addHandler(handler)
log.setLevel(logging.INFO)


def report(step, loss, model):
    statistics = [  # slowprobe: rule=logging-every-step
        f"{name}: {p.mean().item():+.4f} {p.std().item():.4f}"  # slowprobe: rule=logging-every-step
        for name, p in model.named_parameters()  # slowprobe: rule=logging-every-step
    ]
    log.info("step %d loss %.5f | %s", step, loss.item(), " | ".join(statistics))  # slowprobe: rule=logging-every-step


def run(steps):
    torch.manual_seed(8)
    model = nn.Sequential(*[m for _ in range(6) for m in (nn.Linear(40, 40), nn.ReLU())], nn.Linear(40, 1))
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-4)
    for step in range(steps):
        x = torch.randn(200, 40)
        loss = nn.functional.smooth_l1_loss(model(x), x.sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        report(step, loss, model)  # slowprobe: rule=logging-every-step


start = time.perf_counter()
run(1_800)
print(f"loop_seconds={time.perf_counter() - start:.4f}")
