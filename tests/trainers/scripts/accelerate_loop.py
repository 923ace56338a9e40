"""Accelerate: prepared model, optimizer and loaders, gradient accumulation, and an evaluation with grad mode on."""

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main():
    set_seed(1)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    data = TensorDataset(torch.randn(320, 32), torch.randint(0, 4, (320,)))
    held_out = TensorDataset(torch.randn(64, 32), torch.randint(0, 4, (64,)))
    train, test = DataLoader(data, batch_size=8, shuffle=True), DataLoader(held_out, batch_size=16)
    model, optimizer, train, test = accelerator.prepare(model, optimizer, train, test)
    for _ in range(2):
        model.train()
        for x, y in train:
            with accelerator.accumulate(model):
                loss = nn.functional.cross_entropy(model(x), y)
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
        model.eval()
        for x, y in test:
            accelerator.gather(model(x).argmax(-1) == y)
    print("weights", repr(float(sum(p.double().abs().sum() for p in model.parameters()))))


if __name__ == "__main__":
    main()
