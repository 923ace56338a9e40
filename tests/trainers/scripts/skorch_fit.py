"""skorch: NeuralNetClassifier.fit, whose optimizer.step gets a closure, with its own validation split."""

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.dataset import ValidSplit
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 4))

    def forward(self, x):
        return self.body(x).softmax(-1)


if __name__ == "__main__":
    torch.manual_seed(1)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 32), dtype=np.float32), rng.integers(0, 4, 300)
    net = NeuralNetClassifier(
        Net, max_epochs=2, lr=0.05, batch_size=8, train_split=ValidSplit(5, stratified=False), verbose=0
    )
    net.fit(x, y)
    print("weights", repr(float(sum(p.double().abs().sum() for p in net.module_.parameters()))))
