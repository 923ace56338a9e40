"""torch.compile of the model, of the loss function, and of a module in place; prints what the compiler did."""

import sys

import torch
from fingerprint import seed, show
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

backend = sys.argv[1] if len(sys.argv) > 1 else "eager"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(16, 32)
        self.second = nn.Linear(32, 4)

    def forward(self, x):
        h = torch.relu(self.first(x))
        print_once("traced")  # a graph break
        return self.second(h)


def print_once(text, seen=set()):
    if text not in seen:
        seen.add(text)
        print(text)


@torch.compile(backend=backend)
def loss_function(logits, y):
    return nn.functional.cross_entropy(logits, y) * 2


seed(11)
net = Net()
model = torch.compile(net, backend=backend)
head = nn.Linear(4, 4)
head.compile(backend=backend)
loader = DataLoader(TensorDataset(torch.randn(84, 16), torch.randint(0, 4, (84,))), batch_size=8)  # last batch: 4
optimizer = torch.optim.Adam([*net.parameters(), *head.parameters()])
losses = []
for epoch in range(3):
    model.train()
    for x, y in loader:
        loss = loss_function(head(model(x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        print("evaluation", repr(float(loss_function(head(model(x)), y))))
show(losses, net, head)
counters = torch._dynamo.utils.counters
for group in ("frames", "stats", "graph_break", "unimplemented", "recompile_limit"):
    print(group, sorted((str(name).splitlines()[0], count) for name, count in counters[group].items()))
