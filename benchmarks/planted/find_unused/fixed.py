"""Two processes train a small network."""

import os
import subprocess
import sys
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

STEPS = 1200


def train():
    torch.set_num_threads(1)
    torch.manual_seed(int(os.environ["RANK"]))
    dist.init_process_group("gloo")
    rows, targets = torch.randn(16 * STEPS, 32), torch.randint(0, 10, (16 * STEPS,))
    net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    model = DistributedDataParallel(net)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, fused=True)
    dist.barrier()
    begin = time.perf_counter()
    for x, y in zip(rows.split(16), targets.split(16), strict=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    loop_s = time.perf_counter() - begin
    dist.barrier()
    dist.destroy_process_group()
    return loop_s


if __name__ == "__main__":
    other = None
    if "RANK" not in os.environ:  # this process is rank 0, and starts rank 1
        port = str(20000 + os.getpid() % 20000)
        os.environ.update(RANK="0", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
        other = subprocess.Popen([sys.executable, __file__], env={**os.environ, "RANK": "1"})
    loop_s = train()
    if other is not None:
        other.wait()
        print(f"loop_seconds={loop_s:.4f}")
