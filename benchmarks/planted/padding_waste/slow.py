"""Short texts, every batch padded to a fixed length: a transformer encoder works on padding."""

import time

import torch
from torch import nn

LENGTH, VOCABULARY = 192, 2_000
torch.manual_seed(0)
rows = [torch.randint(1, VOCABULARY, (int(n),)) for n in torch.randint(10, 60, (1120,))]


class Classifier(nn.Module):
    """Two encoder layers over token embeddings, mean over the tokens."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 96, padding_idx=0)
        layer = nn.TransformerEncoderLayer(96, 4, 192, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(96, 10)

    def forward(self, ids):
        mask = ids != 0
        hidden = self.encoder(self.embed(ids), src_key_padding_mask=~mask)
        return self.head((hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))


def collate(items):
    """Pads to LENGTH."""
    ids = torch.zeros(len(items), LENGTH, dtype=torch.long)
    for row, item in zip(ids, items, strict=True):
        row[: len(item)] = item
    return ids


net = Classifier()
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
loader = torch.utils.data.DataLoader(rows, batch_size=16, collate_fn=collate)  # slowprobe: rule=padding-waste
begin = time.perf_counter()
for ids in loader:
    loss = nn.functional.cross_entropy(net(ids), ids[:, 0] % 10)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loop_seconds={time.perf_counter() - begin:.4f}")
