"""Node embeddings from random walks over a graph of papers."""

import time

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

NODES, WALK, KEEP, NEGATIVES = 4000, 160, 8, 24


class Walks(Dataset):
    def __init__(self, per_epoch):
        random = np.random.default_rng(0)
        self.neighbours = [random.integers(0, NODES, random.integers(3, 12)) for _ in range(NODES)]
        self.per_epoch = per_epoch

    def __len__(self):
        return self.per_epoch

    def __getitem__(self, start):
        node, walk = start % NODES, []
        for turn in torch.rand(WALK).tolist():
            near = self.neighbours[node]
            node = int(near[int(turn * len(near))])
            walk.append(node)
        return torch.tensor(walk[::KEEP]), torch.randint(0, NODES, (NEGATIVES,))


class Embedder(torch.nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.table = torch.nn.Embedding(NODES, width)
        self.lift = torch.nn.Linear(width, 3 * width)

    def forward(self, walk, negatives):
        here, others = self.lift(self.table(walk)), self.lift(self.table(negatives))
        close = (here[:, :-1] * here[:, 1:]).sum(2)
        far = torch.einsum("bwd,bnd->bwn", here, others).logsumexp(2)
        return F.softplus(far[:, 1:] - close).mean()


if __name__ == "__main__":
    torch.manual_seed(9)
    loader = DataLoader(Walks(19_200), batch_size=160, shuffle=True, num_workers=2, persistent_workers=True)
    model = Embedder()
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.05)
    start = time.perf_counter()
    for epoch in range(2):
        for walk, negatives in loader:
            loss = model(walk, negatives)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - start:.4f}")
