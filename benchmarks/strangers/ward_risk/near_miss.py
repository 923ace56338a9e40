"""Who will be back on the ward within thirty days? Records of patients, one row each."""

import time

import torch
from scoring import auc_interval
from torch import nn


def patients(count=61_440, columns=64):
    torch.manual_seed(3)
    rows = torch.randn(count, columns)
    risk = (rows[:, :8] * torch.linspace(1, 0.2, 8)).sum(1) + rows[:, 8] * rows[:, 9] - 1.0
    return rows, (torch.rand(count) < risk.sigmoid()).float()


class ReadmissionTrainer:
    def __init__(self, rows, back, batch=1024):
        self.rows, self.back, self.batch = rows, back, batch
        self.model = nn.Sequential(
            nn.Linear(rows.shape[1], 448), nn.ReLU(), nn.Linear(448, 448), nn.ReLU(), nn.Linear(448, 1)
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-3, fused=True)
        self.criterion = nn.BCEWithLogitsLoss()
        self.history = []

    def run_epoch(self):
        order = torch.randperm(len(self.rows))
        for part in order.split(self.batch):
            self.run_step(self.rows[part], self.back[part])

    def run_step(self, rows, back):
        logits = self.model(rows).squeeze(1)
        loss = self.criterion(logits, back)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        risk = logits.detach().sigmoid()
        right = float(((risk.numpy() > 0.5) == (back.numpy() > 0.5)).mean())
        self.history.append({"loss": loss.item(), "right": right})

    def fit(self, epochs):
        for epoch in range(epochs):
            self.run_epoch()
            last = self.history[-1]
            with torch.no_grad():
                risk = self.model(self.rows[:1024]).squeeze(1).sigmoid()
            area, low, high = auc_interval(self.back[:1024].numpy(), risk.numpy())
            print(f"epoch {epoch}: {last['loss']:.3f} right {last['right']:.2f} auc {area:.2f} ({low:.2f}-{high:.2f})")


if __name__ == "__main__":
    trainer = ReadmissionTrainer(*patients())
    start = time.perf_counter()
    trainer.fit(epochs=4)
    print(f"loop_seconds={time.perf_counter() - start:.3f}")
