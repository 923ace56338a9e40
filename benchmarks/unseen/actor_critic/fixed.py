"""Actor and critic on a vectorised point world, with generalised advantages of whole episodes."""

import time

import torch
from torch import nn
from torch.distributions import Categorical

CARTS, LENGTH, GAMMA, LAMBDA = 64, 96, 0.99, 0.95


class World:
    def __init__(self):
        self.where = torch.randn(CARTS, 6)

    def step(self, action):
        push = torch.zeros(CARTS, 6).scatter_(1, action[:, None], 0.2)
        self.where = (self.where * 0.97 + push - 0.1).clamp(-4, 4)
        return self.where, -self.where.square().mean(1)


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh())
        self.actor, self.critic = nn.Linear(128, 6), nn.Linear(128, 1)

    def forward(self, where):
        hidden = self.body(where)
        return self.actor(hidden), self.critic(hidden).squeeze(-1)


def advantages_of(rewards, values, last):
    following = torch.cat([values[1:], last[None]])
    deltas = rewards + GAMMA * following - values
    apart = torch.arange(LENGTH)[None, :] - torch.arange(LENGTH)[:, None]
    decay = torch.where(apart >= 0, (GAMMA * LAMBDA) ** apart.clamp(min=0).float(), torch.zeros(()))
    return decay @ deltas


def main():
    torch.manual_seed(8)
    world, model = World(), ActorCritic()
    optimizer = torch.optim.Adam(model.parameters(), lr=7e-4, fused=True)
    begin = time.perf_counter()
    for update in range(30):
        states, actions, rewards = [], [], []
        with torch.no_grad():
            for _ in range(LENGTH):
                states.append(world.where)
                actions.append(Categorical(logits=model(world.where)[0], validate_args=False).sample())
                _, reward = world.step(actions[-1])
                rewards.append(reward)
            states, actions, rewards = torch.stack(states), torch.stack(actions), torch.stack(rewards)
            values, last = model(states)[1], model(world.where)[1]
            advantages = advantages_of(rewards, values, last)
        for _ in range(3):
            logits, critic = model(states)
            chosen = Categorical(logits=logits).log_prob(actions)
            loss = -(chosen * advantages).mean() + 0.5 * (critic - advantages - values).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if update % 10 == 0:
            print(f"update {update}: reward {rewards.mean().item():.3f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()
