"""Which desk should answer? Support tickets in the language of an imaginary country."""

import time

import torch
import torch.nn.functional as F
from torch import nn

from wordpiece import WordPiece, write_tickets

LENGTH = 128


class Router(nn.Module):
    def __init__(self, pieces, desks, size=32):
        super().__init__()
        self.embed = nn.Embedding(pieces, size, padding_idx=0)
        self.conv = nn.Conv1d(size, size, 3, padding=1)
        self.desk = nn.Linear(size, desks)

    def forward(self, ids):
        words = self.embed(ids).transpose(1, 2)
        return self.desk(F.relu(self.conv(words)).amax(2))


def train(model, tickets, desks, tokenizer, epochs=12, batch=32):
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, fused=True)
    for epoch in range(1, epochs + 1):
        model.train()
        correct = 0
        for rows in torch.randperm(len(tickets)).split(batch):
            ids = tokenizer([tickets[row] for row in rows.tolist()], LENGTH)  # slowprobe: rule=tokenize-in-loop
            scores = model(ids)
            loss = F.cross_entropy(scores, desks[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            correct += (scores.argmax(1) == desks[rows]).sum().item()
        print(f"epoch {epoch} routed {correct / len(tickets):.1%}")


def main():
    torch.manual_seed(1)
    tickets, desks, vocabulary = write_tickets(1400, desks=7, seed=2)
    tokenizer = WordPiece(vocabulary)
    model = Router(len(tokenizer), 7)
    start = time.perf_counter()
    train(model, tickets, torch.tensor(desks), tokenizer)
    print(f"loop_seconds={time.perf_counter() - start:.3f}")


if __name__ == "__main__":
    main()
