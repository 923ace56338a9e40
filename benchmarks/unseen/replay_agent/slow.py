"""A value-based agent on a drifting cart: vectorised episodes, a replay memory, a slowly moving target network."""

import copy
import random
import time
from collections import deque

import numpy as np
import torch
import torch.nn as nn

STATE, ACTIONS, BATCH = 96, 5, 256


class Carts:
    """Many carts at once; an action pushes, the state is what has lately been observed."""

    def __init__(self, count, seed=0):
        self.rng = np.random.default_rng(seed)
        self.state = self.rng.normal(size=(count, STATE)).astype(np.float32)
        self.mix = self.rng.normal(size=(ACTIONS, STATE)).astype(np.float32) / 10

    def step(self, actions):
        noise = self.rng.normal(scale=0.05, size=self.state.shape).astype(np.float32)
        self.state = np.clip(0.95 * self.state + self.mix[actions] + noise, -3, 3)
        return self.state, -np.abs(self.state[:, :4]).mean(1)


class Agent:
    def __init__(self):
        self.net = nn.Sequential(
            nn.Linear(STATE, 320), nn.ReLU(), nn.Linear(320, 320), nn.ReLU(), nn.Linear(320, ACTIONS)
        )
        self.target = copy.deepcopy(self.net).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=5e-4, fused=True)
        self.memory = deque(maxlen=4_000)

    @torch.no_grad()
    def act(self, state):
        greedy = self.net(torch.from_numpy(state)).argmax(1).numpy()
        explore = np.random.random(len(state)) < 0.1
        return np.where(explore, np.random.randint(0, ACTIONS, len(state)), greedy)

    def learn(self):
        batch = random.sample(self.memory, BATCH)
        states, actions, rewards, followers = zip(*batch)
        states = torch.tensor(states)  # slowprobe: rule=list-to-tensor
        followers = torch.from_numpy(np.stack(followers))
        actions, rewards = torch.from_numpy(np.array(actions)), torch.from_numpy(np.array(rewards))
        with torch.no_grad():
            wanted = rewards + 0.97 * self.target(followers).amax(1)
        value = self.net(states).gather(1, actions[:, None]).squeeze(1)
        loss = nn.functional.smooth_l1_loss(value, wanted)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def main():
    torch.manual_seed(0)
    random.seed(0)
    carts, agent = Carts(16), Agent()
    state = carts.state
    begin = time.perf_counter()
    for turn in range(800):
        actions = agent.act(state)
        follower, rewards = carts.step(actions)
        agent.memory.extend(zip(state, actions, rewards, follower))
        state = follower
        if len(agent.memory) >= BATCH:
            agent.learn()
        if turn % 300 == 0:
            agent.target.load_state_dict(agent.net.state_dict())
            print(f"turn {turn}: reward {rewards.mean():.3f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()
