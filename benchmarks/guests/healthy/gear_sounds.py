"""An autoencoder of the sound of healthy gears: what it cannot draw again is a fault."""

import time

import torch
from torch import nn


class GearCoder(nn.Module):
    def __init__(self, lines=384, width=256, code=24):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(lines, width), nn.GELU(), nn.Linear(width, code))
        self.decode = nn.Sequential(nn.Linear(code, width), nn.GELU(), nn.Linear(width, lines))

    def forward(self, spectrum):
        return self.decode(self.encode(spectrum))


class Trainer:
    def __init__(self, model, spectra, held):
        self.model, self.spectra, self.held = model, spectra, held
        self.optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)

    def epoch(self, batch=384):
        self.model.train()
        for rows in torch.randperm(len(self.spectra)).split(batch):
            spectrum = self.spectra[rows]
            loss = nn.functional.mse_loss(self.model(spectrum + 0.05 * torch.randn_like(spectrum)), spectrum)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return loss.item()

    @torch.inference_mode()
    def miss(self):
        self.model.eval()
        return nn.functional.mse_loss(self.model(self.held), self.held).item()

    def fit(self, epochs):
        for n in range(epochs):
            print(f"epoch {n}: loss {self.epoch():.4f} held out {self.miss():.4f}")


torch.manual_seed(44)
teeth = torch.randn(20, 384)
spectra = torch.tanh(torch.randn(19_200, 20) @ teeth / 4)
trainer = Trainer(GearCoder(), spectra[:18_816], spectra[18_816:])
started = time.perf_counter()
trainer.fit(20)
print(f"loop_seconds={time.perf_counter() - started:.3f}")
