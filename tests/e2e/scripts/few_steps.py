"""As many steps as asked for, each of which waits for something outside."""

import sys
import time

import torch

torch.manual_seed(0)
net = torch.nn.Linear(64, 8)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
data = torch.utils.data.TensorDataset(torch.randn(int(sys.argv[1]) * 16, 64))
for (batch,) in torch.utils.data.DataLoader(data, batch_size=16):
    loss = net(batch).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    time.sleep(0.1)
print(f"{loss.item():.6f}")
