"""stable-baselines3: PPO on a tiny environment; rollouts without gradients, then epochs of minibatches."""

import gymnasium
import numpy as np
from stable_baselines3 import PPO


class Line(gymnasium.Env):
    """Walk along a line to its end."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.at += 1 if action else -1
        seen = np.array([self.at / 20, 0.5], np.float32).clip(-1, 1)
        return seen, float(action), abs(self.at) >= 20, False, {}


if __name__ == "__main__":
    model = PPO("MlpPolicy", Line(), n_steps=64, batch_size=16, n_epochs=4, seed=1, device="cpu", verbose=0)
    model.learn(192)
    print("weights", repr(float(sum(p.double().abs().sum() for p in model.policy.parameters()))))
