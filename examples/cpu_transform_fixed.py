"""The fixed twin of cpu_transform_slow.py: two workers prepare batches while the network trains."""

import argparse
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

IMAGE = 56
CROP = 48


class Photos(Dataset):
    """Random images in ten classes: read from slow storage, then cropped, flipped, jittered and normalised."""

    def __init__(self, count):
        self.count = count
        self.mean = np.array([0.45, 0.45, 0.45], dtype=np.float32)
        self.std = np.array([0.25, 0.25, 0.25], dtype=np.float32)

    def __len__(self):
        return self.count

    def read(self, rng):
        time.sleep(0.001)  # stands for the latency of network storage
        return rng.random((IMAGE, IMAGE, 3), dtype=np.float32)

    def augment(self, image, rng):
        top, left = rng.integers(0, IMAGE - CROP, size=2)
        image = image[top : top + CROP, left : left + CROP]
        if rng.random() < 0.5:
            image = image[:, ::-1]
        gain, shift = rng.uniform(0.8, 1.2, size=3), rng.uniform(-0.1, 0.1, size=3)
        image = image * gain.astype(np.float32) + shift.astype(np.float32)
        image = image + rng.normal(0.0, 0.02, size=image.shape).astype(np.float32)
        image = np.clip(image, 0.0, 1.0) ** np.float32(rng.uniform(0.8, 1.2))
        return np.ascontiguousarray(((image - self.mean) / self.std).transpose(2, 0, 1))

    def __getitem__(self, index):
        number = index % self.count  # the rest of the index is the epoch: each has augmentations of its own
        image = self.augment(self.read(np.random.default_rng(number)), np.random.default_rng(index))
        return torch.from_numpy(image), number % 10


class EpochSampler(RandomSampler):
    """Yields each photo's number once an epoch, plus the epoch times their count."""

    def __init__(self, photos):
        super().__init__(photos, generator=torch.Generator().manual_seed(0))
        self.epoch = 0

    def __iter__(self):
        begin, numbers = self.epoch * len(self), super().__iter__()
        self.epoch += 1
        return (begin + number for number in numbers)


def build_model():
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(3 * CROP * CROP, 1024),
        nn.ReLU(),
        nn.Linear(1024, 10),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--items", type=int, default=1120, help="images in an epoch")
    args = parser.parse_args()

    torch.manual_seed(0)
    photos = Photos(args.items)
    sampler = EpochSampler(photos)
    loader = DataLoader(photos, batch_size=16, sampler=sampler, num_workers=2, persistent_workers=True)
    model = build_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9, fused=True)
    criterion = nn.CrossEntropyLoss()

    started = time.perf_counter()
    for epoch in range(args.epochs):
        total = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch} loss {total / len(loader):.5f}")
    print(f"loop {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
