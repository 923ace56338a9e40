"""The same texts and padding, but the model packs them: padding costs next to nothing."""

import time

import torch
from torch import nn

LENGTH, VOCABULARY = 192, 2_000
torch.manual_seed(0)
rows = [torch.randint(1, VOCABULARY, (int(n),)) for n in torch.randint(10, 60, (1920,))]


class Classifier(nn.Module):
    """A recurrent layer over packed token embeddings, its last state."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 96, padding_idx=0)
        self.recurrent = nn.GRU(96, 192, batch_first=True)
        self.head = nn.Linear(192, 10)

    def forward(self, ids):
        lengths = (ids != 0).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(self.embed(ids), lengths, batch_first=True, enforce_sorted=False)
        return self.head(self.recurrent(packed)[1][0])


def collate(items):
    """Pads to LENGTH."""
    ids = torch.zeros(len(items), LENGTH, dtype=torch.long)
    for row, item in zip(ids, items, strict=True):
        row[: len(item)] = item
    return ids


net = Classifier()
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
loader = torch.utils.data.DataLoader(rows, batch_size=16, collate_fn=collate)
begin = time.perf_counter()
for ids in loader:
    loss = nn.functional.cross_entropy(net(ids), ids[:, 0] % 10)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - begin:.4f}")
