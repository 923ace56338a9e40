"""A one-stage detector of blobs; every anchor is matched to the object that it overlaps most."""

import random
import time

import torch
from torch import nn

GRID, SIDE, OBJECTS = 8, 64, 4
ANCHORS = [
    (8 * c + 4 - s, 8 * r + 4 - s, 8 * c + 4 + s, 8 * r + 4 + s)
    for r in range(GRID)
    for c in range(GRID)
    for s in (6, 12)
]


def scenes(count):
    images, objects = torch.rand(count, 1, SIDE, SIDE) * 0.2, []
    for image in images:
        boxes = []
        for _ in range(OBJECTS):
            half, x, y = random.uniform(4, 13), random.uniform(13, 51), random.uniform(13, 51)
            boxes.append((x - half, y - half, x + half, y + half))
            image[0, int(y - half) : int(y + half), int(x - half) : int(x + half)] += 0.8
        objects.append(boxes)
    return images, objects


def overlap(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])  # slowprobe: rule=python-bound
    height = min(one[3], other[3]) - max(one[1], other[1])  # slowprobe: rule=python-bound
    if width <= 0 or height <= 0:  # slowprobe: rule=python-bound
        return 0.0
    shared = width * height
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return shared / (areas - shared)


def match(objects):
    """For each anchor its largest overlap with an object, and whether that counts."""
    best = [[max(overlap(a, b) for b in its) for a in ANCHORS] for its in objects]  # slowprobe: rule=python-bound
    best = torch.tensor(best)
    return best, (best > 0.4).float()


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=4), nn.ReLU(), nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU()
        )
        self.head = nn.Conv2d(64, 4, 3, padding=1)

    def forward(self, image):
        return self.head(self.stem(image)).permute(0, 2, 3, 1).reshape(len(image), -1, 2)


def main():
    random.seed(0)
    torch.manual_seed(0)
    images, objects = scenes(1200)
    detector = Detector()
    optimizer = torch.optim.Adam(detector.parameters(), lr=2e-3, fused=True)
    begin = time.perf_counter()
    for step in range(260):
        rows = random.sample(range(len(images)), 48)
        target, positive = match([objects[row] for row in rows])  # slowprobe: rule=python-bound
        answer = detector(images[rows])
        loss = nn.functional.binary_cross_entropy_with_logits(answer[..., 0], positive)
        loss = loss + (positive * (answer[..., 1] - target).square()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 65 == 0:
            print(f"{step}: {loss.item():.4f}")
    print(f"loop_seconds={time.perf_counter() - begin:.4f}")


if __name__ == "__main__":
    main()
