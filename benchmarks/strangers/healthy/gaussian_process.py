"""Gaussian process regression with one length scale for each of the inputs."""

import math
import time

import torch


def kernel(a, b, log_scales, log_height):
    a, b = a / log_scales.exp(), b / log_scales.exp()
    apart = (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp(min=0)
    return log_height.exp() * torch.exp(-0.5 * apart)


def negative_likelihood(x, y, parameters):
    log_scales, log_height, log_noise = parameters
    covariance = kernel(x, x, log_scales, log_height) + (log_noise.exp() + 1e-4) * torch.eye(len(x))
    root = torch.linalg.cholesky(covariance)
    weights = torch.cholesky_solve(y[:, None], root).squeeze(1)
    return 0.5 * y @ weights + root.diagonal().log().sum() + 0.5 * len(x) * math.log(2 * math.pi)


torch.manual_seed(3)
x = torch.randn(500, 5)
y = torch.sin(2 * x[:, 0]) + 0.5 * x[:, 1] + 0.1 * torch.randn(500)
parameters = [
    torch.zeros(5, requires_grad=True),
    torch.zeros((), requires_grad=True),
    torch.tensor(-2.0, requires_grad=True),
]
optimizer = torch.optim.Adam(parameters, lr=0.05)
start = time.perf_counter()
for step in range(200):
    optimizer.zero_grad()
    loss = negative_likelihood(x, y, parameters)
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(step, round(loss.item(), 2))
print("scales", [round(scale, 2) for scale in parameters[0].exp().tolist()])
print(f"loop_seconds={time.perf_counter() - start:.3f}")
