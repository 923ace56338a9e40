"""Behaviour cloning: a policy learns to do what an expert did, from frames of recorded games."""

import random
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn


@dataclass
class Recording:
    frames: list = field(default_factory=list)
    moves: list = field(default_factory=list)

    def add(self, frame, move):
        self.frames.append(frame)
        self.moves.append(move)


def record(length):
    recording, state = Recording(), np.zeros((1, 26, 26), np.float32)
    for _ in range(length):
        state = (0.8 * state + np.random.rand(1, 26, 26)).astype(np.float32)
        recording.add(state.copy(), int(state[0, :4].sum() > state[0, -4:].sum()))
    return recording


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.eye = nn.Sequential(nn.Conv2d(1, 24, 4, stride=2), nn.ReLU(), nn.Conv2d(24, 32, 4, stride=2), nn.ReLU())
        self.brain = nn.Sequential(nn.Flatten(), nn.Linear(800, 128), nn.ReLU(), nn.Linear(128, 2))

    def forward(self, frame):
        return self.brain(self.eye(frame))


class Cloner:
    def __init__(self, recording, batch=96):
        self.recording, self.batch = recording, batch
        self.policy = Policy()
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=5e-4, fused=True)

    def sample(self):
        picked = random.sample(range(len(self.recording.frames)), self.batch)
        frames = torch.from_numpy(np.stack([self.recording.frames[i] for i in picked]))
        moves = torch.tensor([self.recording.moves[i] for i in picked])
        return frames, moves

    def improve(self):
        frames, moves = self.sample()
        loss = nn.functional.cross_entropy(self.policy(frames), moves)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


if __name__ == "__main__":
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    cloner = Cloner(record(3000))
    begin = time.perf_counter()
    for step in range(270):
        loss = cloner.improve()
        if step % 80 == 0:
            print("step", step, "loss", round(loss, 4))
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")
