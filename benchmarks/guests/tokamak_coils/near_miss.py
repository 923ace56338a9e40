"""Which coil currents hold the plasma? A network learns to invert a little circuit model of the vessel.

Exported from a notebook.
"""

# In [1]
import time

import numpy as np
import torch

# In [2]
rng = np.random.default_rng(8)
COILS, LOOPS, BATCH, SHOTS = 320, 320, 256, 700
mutual = (rng.standard_normal((COILS, LOOPS)) / COILS**0.5).astype(np.float32)
eddy = (0.5 * rng.standard_normal((LOOPS, LOOPS)) / LOOPS**0.5).astype(np.float32)
pool = rng.standard_normal((8192, COILS), dtype=np.float32)
fluxes = pool @ mutual

# In [3]
torch.manual_seed(8)
inverse = torch.nn.Sequential(
    torch.nn.Linear(LOOPS, 384),
    torch.nn.GELU(),
    torch.nn.Linear(384, 384),
    torch.nn.GELU(),
    torch.nn.Linear(384, COILS),
)
optimizer = torch.optim.Adam(inverse.parameters(), 1e-3, fused=True)

# In [4]
misses = []
tick = time.perf_counter()
for shot in range(SHOTS):
    rows = rng.integers(0, len(pool), BATCH)
    currents = pool[rows]
    flux = fluxes[rows]
    flux[:, :4] += 0.2 * np.tanh(flux[:, :4] @ eddy[:4, :4])
    guess = inverse(torch.from_numpy(flux))
    miss = (guess - torch.from_numpy(currents)).square().mean()
    optimizer.zero_grad()
    miss.backward()
    optimizer.step()
    misses.append(miss.detach())
tock = time.perf_counter()

# In [5]
print("first", misses[0].item(), "last", misses[-1].item())
print(f"loop_seconds={tock - tick:.3f}")
