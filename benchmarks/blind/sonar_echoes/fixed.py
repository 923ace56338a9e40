"""An autoencoder of sonar echoes; the rebuilt echoes are kept to be looked at afterwards."""

import time

import torch
from torch import nn

ECHO, BATCH, STEPS = 3072, 128, 230


class EchoCoder(nn.Module):
    def __init__(self, width=384, code=48):
        super().__init__()
        self.into = nn.Sequential(nn.Linear(ECHO, width), nn.SiLU(), nn.Linear(width, code))
        self.out_of = nn.Sequential(nn.Linear(code, width), nn.SiLU(), nn.Linear(width, ECHO))

    def forward(self, echo):
        return self.out_of(self.into(echo))


class Gallery:
    """What the coder made of its inputs."""

    def __init__(self):
        self.rebuilt = []

    def hang(self, pictures):
        self.rebuilt = [pictures[:4].detach()]

    def last(self):
        return self.rebuilt[-1][:4].detach()


def main():
    torch.manual_seed(4)
    basis = torch.randn(40, ECHO)
    coder, gallery = EchoCoder(), Gallery()
    optimizer = torch.optim.Adam(coder.parameters(), lr=1e-3, fused=True)
    begin = time.perf_counter()
    for step in range(STEPS):
        echo = torch.tanh(torch.randn(BATCH, 40) @ basis / 6)
        rebuilt = coder(echo)
        loss = (rebuilt - echo).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        gallery.hang(rebuilt)
        if step % 100 == 0:
            print(f"step {step}: {loss.item():.4f}")
    seconds = time.perf_counter() - begin
    print("last picture spans", gallery.last().std().item())
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()
