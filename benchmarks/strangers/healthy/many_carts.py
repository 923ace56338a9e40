"""Double Q-learning on a row of carts that all move at once; what they lived through is kept in tensors."""

import copy
import time

import torch
from torch import nn


class Carts:
    """A cart is pushed left or right and should stay near the middle, slowly."""

    def __init__(self, count):
        self.state = torch.randn(count, 4)

    def step(self, push):
        place, speed, tilt, spin = self.state.unbind(1)
        force = 2.0 * push - 1.0
        spin = spin + 0.1 * (torch.sin(tilt) + force)
        speed = 0.98 * speed + 0.1 * force
        after = torch.stack([place + 0.1 * speed, speed, tilt + 0.1 * spin, spin], 1)
        reward = 1 - 0.1 * after[:, 0].abs() - after[:, 2].abs()
        done = (after[:, 0].abs() > 3) | (after[:, 2].abs() > 1)
        before, self.state = self.state, torch.where(done[:, None], 0.1 * torch.randn_like(after), after)
        return before, reward, after, done.float()


class Memory:
    def __init__(self, size):
        self.size, self.count = size, 0
        self.state, self.after = torch.empty(size, 4), torch.empty(size, 4)
        self.push = torch.empty(size, dtype=torch.long)
        self.reward, self.done = torch.empty(size), torch.empty(size)

    def add(self, **lived):
        rows = torch.arange(self.count, self.count + len(lived["push"])) % self.size
        for name, values in lived.items():
            getattr(self, name)[rows] = values
        self.count += len(rows)

    def sample(self, count):
        rows = torch.randint(min(self.count, self.size), (count,))
        return self.state[rows], self.push[rows], self.reward[rows], self.after[rows], self.done[rows]


def main(steps=600, carts=64, batch=512):
    torch.manual_seed(0)
    q = nn.Sequential(nn.Linear(4, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2))
    target = copy.deepcopy(q).requires_grad_(False)
    optimizer = torch.optim.Adam(q.parameters(), 5e-4, fused=True)
    world, memory = Carts(carts), Memory(50_000)
    start = time.perf_counter()
    for step in range(steps):
        with torch.no_grad():
            push = torch.where(torch.rand(carts) < 0.1, torch.randint(2, (carts,)), q(world.state).argmax(1))
        before, reward, after, done = world.step(push)
        memory.add(state=before, push=push, reward=reward, after=after, done=done)
        state, push, reward, after, done = memory.sample(batch)
        with torch.no_grad():
            best = q(after).argmax(1, keepdim=True)
            goal = reward + 0.97 * (1 - done) * target(after).gather(1, best).squeeze(1)
        value = q(state).gather(1, push[:, None]).squeeze(1)
        loss = nn.functional.smooth_l1_loss(value, goal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 99:
            target.load_state_dict(q.state_dict())
            print(f"step {step + 1}: loss {loss.item():.4f}, reward {reward.mean().item():.3f}")
    print(f"loop_seconds={time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main()
