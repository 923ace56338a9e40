"""torchdata: a StatefulDataLoader, saved in the middle of a pass and resumed."""

import sys

import torch
from torch import nn
from torch.utils.data import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader


class Points(Dataset):
    def __len__(self):
        return 160

    def __getitem__(self, index):
        return torch.arange(16.0).mul(index * 0.01).sin(), index % 4


if __name__ == "__main__":
    torch.manual_seed(1)
    workers = int(sys.argv[1])
    model = nn.Linear(16, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def train(loader, most):
        for number, (x, y) in enumerate(loader, 1):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            if number == most:
                return loader.state_dict()
        return None

    state = train(StatefulDataLoader(Points(), batch_size=8, num_workers=workers), 12)
    resumed = StatefulDataLoader(Points(), batch_size=8, num_workers=workers)
    resumed.load_state_dict(state)
    train(resumed, 100)
    print("weights", repr(float(sum(p.double().abs().sum() for p in model.parameters()))))
