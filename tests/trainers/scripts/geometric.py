"""torch_geometric: graphs in mini-batches through its own DataLoader."""

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCNConv, global_mean_pool


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = GCNConv(8, 32), GCNConv(32, 32), nn.Linear(32, 2)

    def forward(self, data):
        x = self.first(data.x, data.edge_index).relu()
        x = self.second(x, data.edge_index).relu()
        return self.head(global_mean_pool(x, data.batch))


if __name__ == "__main__":
    torch.manual_seed(1)
    edges = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 0]])
    graphs = [Data(x=torch.randn(5, 8), edge_index=edges, y=torch.tensor([index % 2])) for index in range(160)]
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loader = DataLoader(graphs, batch_size=8)
    for _ in range(2):
        for data in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(data), data.y).backward()
            optimizer.step()
    print("weights", repr(float(sum(p.double().abs().sum() for p in model.parameters()))))
