"""An ensemble that learns how a drone moves; what it foresees is kept for the engineers, step by step."""

import queue
import tempfile
import threading
import time
from pathlib import Path

import torch
from torch import nn

STATE, ACTION, AHEAD = 12, 4, 4


class Recorder:
    """Takes what it is given and writes it down while the training goes on."""

    def __init__(self, path):
        self.path = path
        self.inbox = queue.Queue()
        self.hand = threading.Thread(target=self.write, daemon=True)
        self.hand.start()

    def write(self):
        with open(self.path, "wb") as out:
            while (entry := self.inbox.get()) is not None:
                step, foreseen = entry
                out.write(step.to_bytes(8, "little") + foreseen.tobytes())

    def keep(self, step, foreseen):
        self.inbox.put((step, foreseen))

    def close(self):
        self.inbox.put(None)
        self.hand.join()


class Dynamics(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(STATE + ACTION, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, STATE)
        )

    def forward(self, state, actions):
        path = []
        for action in actions.unbind(1):
            state = state + 0.1 * self.net(torch.cat([state, action], 1))
            path.append(state)
        return torch.stack(path, 1)


def flights(count, generator):
    """States, actions and where the drone really went."""
    drag = torch.linspace(-0.5, 0.5, STATE)
    steer = torch.linspace(-1, 1, ACTION * STATE).view(ACTION, STATE)
    state = torch.randn(count, STATE, generator=generator)
    actions = torch.randn(count, AHEAD, ACTION, generator=generator)
    here, path = state, []
    for action in actions.unbind(1):
        here = here + 0.1 * (torch.sin(here.roll(1, 1)) + drag * here + action @ steer)
        path.append(here)
    return state, actions, torch.stack(path, 1)


def main(steps=700, batch=96, members=4):
    torch.manual_seed(0)
    states, actions, paths = flights(20_000, torch.Generator().manual_seed(1))
    ensemble = nn.ModuleList(Dynamics() for _ in range(members))
    optimizer = torch.optim.Adam(ensemble.parameters(), 1e-3, fused=True)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder) / "foreseen.bin")
        start = time.perf_counter()
        for step in range(steps):
            rows = torch.randint(len(states), (batch,))
            foreseen = [member(states[rows], actions[rows]) for member in ensemble]
            loss = sum(nn.functional.mse_loss(path, paths[rows]) for path in foreseen)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.keep(step, foreseen[0].detach().numpy())
        recorder.close()
        seconds = time.perf_counter() - start
    print(f"loss {loss.item():.4f}")
    print(f"loop_seconds={seconds:.3f}")


if __name__ == "__main__":
    main()
