"""A classifier of CT slices that are streamed from a folder of patients."""

import argparse
import gzip
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

SIDE = 96


def write_patients(folder: Path, count: int, slices: int) -> None:
    rng = np.random.default_rng(3)
    for patient in range(count):
        low = rng.normal(0, 1, (slices, SIDE // 4, SIDE // 4)).repeat(4, axis=1).repeat(4, axis=2)
        volume = (low * 300 + rng.integers(0, 12, low.shape)).astype(np.int16)
        (folder / f"{patient:04d}.vol").write_bytes(volume.tobytes())
        (folder / f"{patient:04d}.vol.gz").write_bytes(gzip.compress(volume.tobytes(), 1))


class Slices(IterableDataset):
    def __init__(self, folder: Path, slices: int) -> None:
        self.paths = sorted(folder.glob("*.vol"))
        self.slices = slices

    def __iter__(self):
        for label, path in enumerate(self.paths):
            raw = path.read_bytes()
            header = gzip.decompress(gzip.compress(raw[:64]))
            assert header == raw[:64]
            volume = np.frombuffer(raw, dtype=np.int16).reshape(self.slices, SIDE, SIDE)
            yield torch.from_numpy(volume.astype(np.float32) / 300), label % 4


def network() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(SIDE * SIDE, 48),
        nn.ReLU(),
        nn.Linear(48, 48),
        nn.ReLU(),
        nn.Linear(48, 4),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=600)
    parser.add_argument("--slices", type=int, default=32)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, fused=True)
    with tempfile.TemporaryDirectory() as name:
        write_patients(Path(name), args.patients, args.slices)
        loader = DataLoader(Slices(Path(name), args.slices), batch_size=None)
        total = 0.0
        begin = time.perf_counter()
        for volume, label in loader:
            target = torch.full((len(volume),), label)
            for chunk, part in zip(volume.split(8), target.split(8)):
                loss = nn.functional.cross_entropy(model(chunk), part)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += float(loss.detach())
        seconds = time.perf_counter() - begin
    print(f"mean loss {total / args.patients:.3f}")
    print(f"loop_seconds={seconds:.4f}")


if __name__ == "__main__":
    main()
