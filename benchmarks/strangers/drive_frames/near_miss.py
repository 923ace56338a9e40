"""Steering learned from what a driver did: two processes share the work, four parts make one update."""

import multiprocessing as mp
import os
import tempfile
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP

WORLD, UPDATES, PARTS, BATCH = 2, 64, 4, 16


class Driver(nn.Module):
    def __init__(self):
        super().__init__()
        self.eyes = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()
        )
        self.hands = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(32 * 16, 3))

    def forward(self, frames):
        return self.hands(self.eyes(frames))


def road(count, side=64):
    """Frames with a bright lane; the driver steers towards it."""
    where = torch.rand(count, 1, 1) * side
    columns = torch.arange(side, dtype=torch.float32)
    lane = torch.exp(-((columns - where) ** 2) / 8).expand(count, side, side)
    frames = lane[:, None] + 0.3 * torch.randn(count, 3, side, side)
    steer = where.flatten(1) / side - 0.5
    return frames, torch.cat([steer, steer.abs(), 1 - steer.abs()], 1)


def drive(rank, folder):
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD)
    torch.manual_seed(0)
    model = DDP(Driver())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, fused=True)
    torch.manual_seed(1 + rank)
    frames, commands = road(1024)
    dist.barrier()
    began = time.perf_counter()
    for update in range(UPDATES):
        optimizer.zero_grad()
        for rows in torch.randint(len(frames), (PARTS, BATCH)):
            loss = nn.functional.mse_loss(model(frames[rows]), commands[rows])
            (loss / PARTS).backward()
        optimizer.step()
        if rank == 0 and update % 16 == 0:
            print(f"update {update} loss {loss.item():.4f}", flush=True)
    seconds = time.perf_counter() - began
    dist.barrier()
    dist.destroy_process_group()
    return seconds


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        passenger = mp.Process(target=drive, args=(1, folder))
        passenger.start()
        seconds = drive(0, folder)
        passenger.join()
    print(f"loop_seconds={seconds:.3f}")
