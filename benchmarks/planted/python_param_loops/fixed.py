"""A hand-made optimizer step: clipping and decay over a deep stack of narrow residual blocks."""

import time

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.inner, self.outer = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        return x + self.outer(torch.relu(self.inner(self.norm(x))))


@torch.no_grad()
def clip_and_decay(model, limit=1.0, decay=1e-4):
    parameters = list(model.parameters())
    gradients = [parameter.grad for parameter in parameters]
    total = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))).item()
    torch._foreach_mul_(gradients, min(1.0, limit / (total + 1e-6)))
    torch._foreach_mul_(parameters, 1 - decay)
    noise = torch.randn(sum(gradient.numel() for gradient in gradients)).mul_(1e-5)
    parts = noise.split([gradient.numel() for gradient in gradients])
    torch._foreach_add_(gradients, [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)])


def main():
    torch.manual_seed(9)
    model = nn.Sequential(nn.Linear(8, 24), *[Block(24) for _ in range(40)], nn.Linear(24, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=True)
    started = time.perf_counter()
    for _ in range(440):
        x = torch.randn(32, 8)
        loss = (model(x) - x.prod(dim=1, keepdim=True)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        clip_and_decay(model)
        optimizer.step()
    print(f"loop_seconds={time.perf_counter() - started:.4f}")


main()
