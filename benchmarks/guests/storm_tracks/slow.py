"""Where will the cyclone be? A small network moves it hour by hour, and two processes take half of the storms each."""

import argparse
import os
import subprocess
import sys
import tempfile
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

HOURS, STORMS, PER_STEP = 160, 1024, 16


class Drift(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.look = nn.Linear(6, width)
        self.turn = nn.Linear(width, 4)

    def forward(self, state, steering):
        hidden = torch.tanh(self.look(torch.cat([state, steering], 1)))
        push, decay = self.turn(hidden).chunk(2, 1)
        place, speed = state.chunk(2, 1)
        speed = speed * torch.sigmoid(decay + 3) + 0.02 * push
        return torch.cat([place + 0.1 * speed, speed], 1)


def tracks(seed):
    draw = torch.Generator().manual_seed(seed)
    steering = torch.randn(HOURS, STORMS, 2, generator=draw).cumsum(0) * 0.05
    place = torch.randn(STORMS, 2, generator=draw) + (0.01 * steering).cumsum(0)
    return place, steering


def train(args):
    torch.set_num_threads(1)
    torch.manual_seed(12)
    dist.init_process_group("gloo", init_method=f"file://{args.meeting}", rank=args.rank, world_size=2)
    drift = DistributedDataParallel(Drift(), find_unused_parameters=True)  # slowprobe: rule=find-unused
    optimizer = torch.optim.Adam(drift.parameters(), args.rate, fused=True)
    place, steering = tracks(args.rank)

    dist.barrier()
    begun = time.perf_counter()
    for step in range(args.steps):
        storms = torch.randint(STORMS, (PER_STEP,))
        state = torch.cat([place[0, storms], torch.zeros(PER_STEP, 2)], 1)
        there = []
        for hour in range(HOURS):
            state = drift(state, steering[hour, storms])
            there.append(state[:, :2])
        miss = (torch.stack(there) - place[:, storms]).square().mean()
        optimizer.zero_grad()
        miss.backward()
        optimizer.step()
        if args.rank == 0 and step % 20 == 0:
            print(f"step {step}: {miss.item():.4f}")
    seconds = time.perf_counter() - begun
    dist.destroy_process_group()
    return seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--meeting")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rate", type=float, default=2e-3)
    args = parser.parse_args()
    if args.rank:
        train(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        args.meeting = os.path.join(folder, "meeting")
        other = [sys.executable, os.path.abspath(__file__), "--rank", "1", "--meeting", args.meeting]
        helper = subprocess.Popen(other + ["--steps", str(args.steps), "--rate", str(args.rate)])
        seconds = train(args)
        helper.wait()
    print(f"loop_seconds={seconds:.3f}")


if __name__ == "__main__":
    main()
