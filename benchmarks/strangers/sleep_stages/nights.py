"""Made-up nights in the sleep laboratory, written to disk in one of three manners."""

from pathlib import Path

import numpy as np

NIGHTS, PER_NIGHT, SAMPLES = 6, 150, 300


def night(number):
    random = np.random.default_rng(number)
    stages = random.integers(0, 5, PER_NIGHT)
    seconds = np.linspace(0, 30, SAMPLES)
    rate = np.array([10.0, 7.0, 5.0, 2.0, 4.0])[stages] / 4
    eeg = np.sin(rate[:, None] * seconds * 6.28) + random.normal(0, 0.8, (PER_NIGHT, SAMPLES))
    eog = (stages == 4)[:, None] * np.sign(np.sin(seconds)) + random.normal(0, 0.8, (PER_NIGHT, SAMPLES))
    return np.stack([eeg, eog], 1).astype(np.float32), stages


def write_epochs(root):
    """A folder for each thirty seconds."""
    for number in range(NIGHTS):
        for epoch, ((eeg, eog), stage) in enumerate(zip(*night(number))):
            folder = Path(root) / f"night{number:02d}" / f"epoch{epoch:04d}"
            folder.mkdir(parents=True)
            np.save(folder / "eeg.npy", eeg)
            np.save(folder / "eog.npy", eog)
            (folder / "stage.txt").write_text(f"{stage}")


def write_nights(root):
    """A file for each night."""
    for number in range(NIGHTS):
        signals, stages = night(number)
        np.savez(Path(root) / f"night{number:02d}.npz", signals=signals, stages=stages)


def write_packed(root):
    """All nights in one file."""
    signals, stages = zip(*map(night, range(NIGHTS)))
    np.savez(Path(root) / "nights.npz", signals=np.concatenate(signals), stages=np.concatenate(stages))
