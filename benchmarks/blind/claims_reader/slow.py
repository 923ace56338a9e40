"""Insurance claims as word numbers: a small transformer tells claims to be checked."""

import time

import torch
from torch import nn

VOCABULARY, LONGEST = 3000, 160


class Reader(nn.Module):
    def __init__(self, width=96):
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, width, padding_idx=0)
        self.places = nn.Embedding(LONGEST, width)
        layer = nn.TransformerEncoderLayer(width, 4, 192, dropout=0.0, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.check = nn.Linear(width, 1)

    def forward(self, claims):
        padding = claims == 0
        x = self.body(self.words(claims) + self.places.weight[: claims.shape[1]], src_key_padding_mask=padding)
        x = x.masked_fill(padding[..., None], 0).sum(1) / (~padding).sum(1, keepdim=True)
        return self.check(x).squeeze(1)


def draw_claims(count):
    lengths = torch.randint(56, 81, (count,)).tolist()
    lengths[0] = LONGEST
    return [torch.randint(1, VOCABULARY, (length,)) for length in lengths]


def pad(claims, size):
    batch = torch.zeros(len(claims), size, dtype=torch.long)
    for row, claim in zip(batch, claims):
        row[: len(claim)] = claim
    return batch


def train(steps=60, batch_size=24):
    torch.manual_seed(8)
    claims = draw_claims(4000)
    check = torch.tensor([float(claim[0] > VOCABULARY // 2) for claim in claims])
    reader = Reader()
    optimizer = torch.optim.AdamW(reader.parameters(), lr=5e-4, fused=True)
    began = time.perf_counter()
    for step in range(steps):
        rows = torch.randint(1, len(claims), (batch_size,)).tolist()
        batch = pad([claims[row] for row in rows], LONGEST)  # slowprobe: rule=padding-waste
        score = reader(batch)  # slowprobe: rule=padding-waste
        loss = nn.functional.binary_cross_entropy_with_logits(score, check[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print("step", step, "loss", f"{loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - began:.4f}")


if __name__ == "__main__":
    train()
