"""Nowcasting of rain from radar frames, data-parallel over the processes of one machine."""

import argparse
import os
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import fleet
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def block(width):
    return [nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(4, width), nn.SiLU()]


def nowcaster(past, width):
    body = [nn.Conv2d(past, width, 3, padding=1), nn.SiLU(), *block(width), *block(width), *block(width)]
    return nn.Sequential(*body, nn.Conv2d(width, 1, 1))


def drifting_rain(count, past, side):
    """Fields of showers that the wind carries along; the last frame is to be forecast."""
    yard = torch.arange(side) * 6.28 / side
    wind, phase = torch.rand(count, 1, 1) + 0.5, 6.28 * torch.rand(count, 1, 1)
    frames = []
    for hour in range(past + 1):
        east = torch.sin(2 * yard[None, None, :] + phase - 0.3 * hour * wind)
        north = torch.cos(3 * yard[None, :, None] + phase + 0.2 * hour * wind)
        frames.append((east * north).clamp(min=0))
    frames = torch.stack(frames, 1)
    return frames[:, :past], frames[:, past:]


def pulse(name, folder):
    """Tells the operator that this station is alive."""
    while True:
        Path(folder, name).write_text(str(time.time()))
        time.sleep(0.5)


def train(rank, world, options, folder):
    torch.set_num_threads(max(1, os.cpu_count() // world))
    fleet.join(rank, world, folder)
    torch.manual_seed(100)
    model = DistributedDataParallel(nowcaster(options.past, options.width))
    optimizer = torch.optim.AdamW(model.parameters(), options.lr, fused=True)
    torch.manual_seed(rank)
    past, future = drifting_rain(512, options.past, options.side)
    dist.barrier()
    clock = time.perf_counter()
    for step in range(options.steps):
        rows = torch.randint(len(past), (options.batch,))
        loss = nn.functional.mse_loss(model(past[rows]), future[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if rank == 0 and step % 40 == 0:
            print(f"step {step} loss {loss.item():.4f}", flush=True)
    seconds = time.perf_counter() - clock
    dist.barrier()
    dist.destroy_process_group()
    return seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--past", type=int, default=4)
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stations = [
            get_context("fork").Process(target=pulse, args=(f"station{i}", folder), daemon=True) for i in range(6)
        ]
        for station in stations:
            station.start()
        seconds = fleet.launch(train, options.ranks, options, folder)
        for station in stations:
            station.terminate()
            station.join()
    print(f"loop_seconds={seconds:.3f}")


if __name__ == "__main__":
    main()
