"""A thread computes statistics in pure Python all the while: every operator has to ask for the interpreter back."""

import threading
import time

import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(*(layer for _ in range(8) for layer in (nn.Linear(128, 128), nn.Tanh())))
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, fused=True)
x, done, counts = torch.randn(64, 128), threading.Event(), {}


def count_words():
    """Counts until training is over."""
    number = 0
    while not done.is_set():
        for word in range(1000):
            number += 1
            counts[word % 97] = counts.get(word % 97, 0) + number % 7  # slowprobe: rule=gil-contention


thread = threading.Thread(target=count_words, daemon=True)
thread.start()
begin = time.perf_counter()
for _ in range(900):
    loss = net(x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - begin:.4f}")
done.set()
thread.join()
