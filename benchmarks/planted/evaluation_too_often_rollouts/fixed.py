"""Policy gradient on a made-up control task; the policy is tried out for many episodes after every update."""

import time

import torch
from torch import nn


def episodes(policy, count, length, explore):
    state, total, log_probabilities = torch.randn(count, 6), torch.zeros(count), []
    for _ in range(length):
        mean = policy(state)
        action = mean + explore * torch.randn_like(mean)
        log_probabilities.append(-(action.detach() - mean).square().sum(1))
        state = 0.9 * state + 0.1 * action.detach().repeat(1, 3)
        total -= state.square().mean(1)
    return total, torch.stack(log_probabilities).sum(0)


def assess(policy):
    policy.eval()
    with torch.no_grad():
        returns, _ = episodes(policy, 2_000, 25, 0.0)
    policy.train()
    return returns.mean().item()


def main(updates=96, every=14):
    torch.manual_seed(20)
    policy = nn.Sequential(nn.Linear(6, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3, fused=True)
    began = time.perf_counter()
    for update in range(updates):
        returns, scores = episodes(policy, 500, 25, 0.2)
        loss = -((returns - returns.mean()) * scores).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (update + 1) % every == 0:
            value = assess(policy)
    print(f"value {value:.4f}")
    print(f"loop_seconds={time.perf_counter() - began:.4f}")


main()
