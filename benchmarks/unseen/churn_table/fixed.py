"""Churn from a table of customers: plain layers, class weights, a learning-rate warm-up."""

import argparse
import time

import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler


class Customers(Dataset):
    def __init__(self, rows: int, columns: int) -> None:
        self.table = torch.randn(rows, columns)
        self.churned = (self.table[:, :5].sum(1) + 0.3 * torch.randn(rows) > 0).float()

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, row):
        return self.table[row], self.churned[row]


class Churn(nn.Module):
    def __init__(self, columns: int, width: int = 128) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(columns, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def forward(self, table: torch.Tensor) -> torch.Tensor:
        return self.body(table).squeeze(1)


def loader_of(customers: Customers, batch: int) -> DataLoader:
    rows = BatchSampler(RandomSampler(customers), batch, drop_last=True)
    return DataLoader(customers, sampler=rows, batch_size=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    torch.manual_seed(21)
    customers = Customers(options.rows, options.columns)
    loader = loader_of(customers, 250)
    model = Churn(options.columns)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=100)
    criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(1.5))
    clock = time.perf_counter()
    for epoch in range(options.epochs):
        for table, churned in loader:
            optimizer.zero_grad()
            loss = criterion(model(table), churned)
            loss.backward()
            optimizer.step()
            warm.step()
        print(f"epoch {epoch}: loss {loss:.4f}")
    print(f"loop_seconds={time.perf_counter() - clock:.4f}")


if __name__ == "__main__":
    main()
