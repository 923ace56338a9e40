"""Gestures from sequences of joint angles; each epoch ends with the accuracy on the validation people."""

import time

import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset


class GestureNet(nn.Module):
    def __init__(self, joints=12, hidden=40, gestures=6):
        super().__init__()
        self.lstm = nn.LSTM(joints, hidden, num_layers=1, batch_first=True)
        self.head = nn.Linear(hidden, gestures)

    def forward(self, angles):
        states, _ = self.lstm(angles)
        return self.head(states.mean(1))


def make(people):
    angles = torch.randn(people, 24, 12).cumsum(1)
    return TensorDataset(angles, angles[:, -1, :6].argmax(1))


def loader_of(data, size, shuffle):
    order = RandomSampler(data) if shuffle else SequentialSampler(data)
    return DataLoader(data, sampler=BatchSampler(order, size, False), batch_size=None)


def validate(net, loader):
    net.eval()
    right = count = 0
    with torch.inference_mode():
        for angles, gesture in loader:
            scores = net(angles)
            right += int((scores.argmax(1) == gesture).sum())
            count += len(gesture)
    net.train()
    return right / count


def main():
    torch.manual_seed(2)
    training, validation = make(3200), make(1600)
    train_loader = loader_of(training, 64, True)
    validation_loader = loader_of(torch.utils.data.Subset(validation, range(24)), 2, False)
    net = GestureNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    best = None
    begin = time.perf_counter()
    for epoch in range(6):
        for angles, gesture in train_loader:
            loss = nn.functional.cross_entropy(net(angles), gesture, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        score = validate(net, validation_loader)
        if best is None or score > best[0]:
            best = score, {name: value.clone() for name, value in net.state_dict().items()}
        print(f"epoch {epoch}: loss {loss.item():.3f}, validation {score:.3f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()
