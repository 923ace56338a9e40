"""Metric learning: the loss goes through the triplets of a batch one by one."""

import time

import torch
import torch.nn.functional as F
from torch import nn

TRIPLETS = 192


def margin_loss(anchors, positives, negatives, margin=0.3):
    total = anchors.new_zeros(())
    for index in range(0, len(anchors), 48):
        near = F.pairwise_distance(anchors[index : index + 48], positives[index : index + 48])
        far = F.pairwise_distance(anchors[index : index + 48], negatives[index : index + 48])
        total = total + F.relu(near - far + margin).sum()
    return total / len(anchors)


def main():
    torch.manual_seed(3)
    images = torch.randn(3_000, 1, 16, 16)
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 32)
    )
    optimizer = torch.optim.Adam(encoder.parameters(), fused=True)
    started = time.perf_counter()
    for step in range(400):
        triplets = images[torch.randint(len(images), (3 * TRIPLETS,))]
        anchors, positives, negatives = F.normalize(encoder(triplets)).split(TRIPLETS)
        loss = margin_loss(anchors, positives, negatives)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - started
    print(f"loss {loss.item():.4f}")
    print(f"loop_seconds={seconds:.4f}")


main()
