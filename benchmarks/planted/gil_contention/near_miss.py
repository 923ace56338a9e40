"""A thread is at work all the while, too, but in a library that leaves the interpreter alone."""

import threading
import time
import zlib

import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(*(layer for _ in range(8) for layer in (nn.Linear(128, 128), nn.Tanh())))
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, fused=True)
x, done, counts = torch.randn(64, 128), threading.Event(), {}


def compress():
    """Compresses until training is over."""
    text = bytes(range(256)) * 20_000
    while not done.is_set():
        counts[0] = len(zlib.compress(text))


thread = threading.Thread(target=compress, daemon=True)
thread.start()
begin = time.perf_counter()
for _ in range(2_000):
    loss = net(x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - begin:.4f}")
done.set()
thread.join()
