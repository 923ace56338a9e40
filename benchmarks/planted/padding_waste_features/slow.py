"""Short recordings as spectral features, each padded with zeros to the longest that is allowed."""

import time

import torch
from torch import nn

MELS, LONGEST = 40, 400
torch.manual_seed(0)
recordings = [torch.randn(int(n), MELS) for n in torch.randint(60, 160, (800,))]


class Tagger(nn.Module):
    """Convolutions over time, then the mean."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(MELS, 96, 5, padding=2)
        self.second = nn.Conv1d(96, 96, 5, padding=2)
        self.head = nn.Linear(96, 8)

    def forward(self, features):
        hidden = torch.relu(self.first(features.transpose(1, 2)))
        return self.head(torch.relu(self.second(hidden)).mean(2))


def collate(items):
    batch = torch.zeros(len(items), LONGEST, MELS)
    for row, item in zip(batch, items):
        row[: len(item)] = item
    return batch


net = Tagger()
optimizer = torch.optim.SGD(net.parameters(), lr=1e-2, fused=True)
loader = torch.utils.data.DataLoader(recordings, batch_size=8, collate_fn=collate)  # slowprobe: rule=padding-waste
begin = time.perf_counter()
for features in loader:
    loss = net(features).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - begin:.4f}")
