"""Where does the speaker come from? Two processes share the recordings, and each step takes four pieces from both."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

STEPS, PIECES, PIECE, BANDS, FRAMES, PLACES = 60, 4, 16, 40, 24, 12


def recordings(rank):
    draw = torch.Generator().manual_seed(50 + rank)
    place = torch.randint(PLACES, (2048,), generator=draw)
    accent = torch.randn(PLACES, BANDS * FRAMES, generator=torch.Generator().manual_seed(50))
    return accent[place] + 2 * torch.randn(2048, BANDS * FRAMES, generator=draw), place


def train(rank, meeting):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    net = nn.Sequential(
        nn.Linear(BANDS * FRAMES, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, PLACES)
    )
    ddp = DistributedDataParallel(net)
    optimizer = torch.optim.SGD(ddp.parameters(), 0.02, momentum=0.9, fused=True)
    sounds, places = recordings(rank)

    dist.barrier()
    begun = time.perf_counter()
    for step in range(STEPS):
        rows = torch.randint(len(sounds), (PIECES, PIECE))
        for number, piece in enumerate(rows, 1):
            with ddp.no_sync() if number < PIECES else contextlib.nullcontext():
                loss = F.cross_entropy(ddp(sounds[piece]), places[piece]) / PIECES
                loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if rank == 0 and step % 20 == 0:
            print(f"step {step}: loss {PIECES * loss.item():.3f}")
    seconds = time.perf_counter() - begun
    dist.destroy_process_group()
    return seconds


if __name__ == "__main__":
    if "DIALECT_MEETING" in os.environ:
        train(1, os.environ["DIALECT_MEETING"])
    else:
        with tempfile.TemporaryDirectory() as folder:
            meeting = os.path.join(folder, "meeting")
            second = subprocess.Popen(
                [sys.executable, os.path.abspath(__file__)], env={**os.environ, "DIALECT_MEETING": meeting}
            )
            seconds = train(0, meeting)
            second.wait()
        print(f"loop_seconds={seconds:.3f}")
