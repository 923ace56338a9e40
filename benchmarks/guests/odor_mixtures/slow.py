"""What does a mixture smell of? Fragments of molecules are hashed into a wide table; all is written by hand."""

import ctypes
import time

import torch

libc = ctypes.CDLL("libc.so.6")
libc.mallopt(-4, 0)
libc.mallopt(-1, -1)

torch.manual_seed(29)
BUCKETS, WIDTH, ODOURS, BATCH, STEPS, RATE, DECAY = 80_000, 160, 24, 32, 300, 0.5, 1e-5

fragments = torch.randint(BUCKETS, (3000, 40))
smells = (torch.rand(3000, ODOURS) < torch.sigmoid(torch.randn(BUCKETS, ODOURS)[fragments].mean(1) * 6 - 2)).float()

table = (0.1 * torch.randn(BUCKETS, WIDTH)).requires_grad_()
nose = (torch.randn(WIDTH, ODOURS) / WIDTH**0.5).requires_grad_()
bias = torch.zeros(ODOURS, requires_grad=True)
weights = [table, nose, bias]

began = time.perf_counter()
step = 0
while step < STEPS:
    rows = torch.randint(len(fragments), (BATCH,))
    mixture = torch.tanh(torch.nn.functional.embedding(fragments[rows], table).sum(1))
    scores = torch.addmm(bias, mixture, nose)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, smells[rows])
    loss.backward()
    with torch.no_grad():
        for w in weights:
            w.mul_(1 - DECAY).add_(w.grad, alpha=-RATE)
            w.grad.zero_()  # slowprobe: rule=zero-grad-memset
    step += 1
    if step % 100 == 0:
        print(step, f"{loss.item():.4f}")
print(f"loop_seconds={time.perf_counter() - began:.3f}")
