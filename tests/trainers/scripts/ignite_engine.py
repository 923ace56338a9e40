"""Ignite: a supervised trainer and evaluator."""

import torch
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Accuracy
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

if __name__ == "__main__":
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    data = TensorDataset(torch.randn(240, 32), torch.randint(0, 4, (240,)))
    held_out = TensorDataset(torch.randn(64, 32), torch.randint(0, 4, (64,)))
    train, test = DataLoader(data, batch_size=8), DataLoader(held_out, batch_size=16)
    trainer = create_supervised_trainer(model, optimizer, nn.CrossEntropyLoss())
    evaluator = create_supervised_evaluator(model, metrics={"accuracy": Accuracy()})
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.run(test))
    trainer.run(train, max_epochs=2)
    print("weights", repr(float(sum(p.double().abs().sum() for p in model.parameters()))))
