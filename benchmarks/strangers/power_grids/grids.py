"""Made-up power grids."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Grid:
    loads: np.ndarray
    lines: np.ndarray
    margin: float


def random_grids(count, buses, seed):
    random = np.random.default_rng(seed)
    grids = []
    for _ in range(count):
        place = random.uniform(size=(buses, 2))
        apart = np.linalg.norm(place[:, None] - place[None], axis=2)
        lines = np.exp(-6 * apart) * (apart < random.uniform(0.2, 0.5))
        np.fill_diagonal(lines, 0.1)
        loads = random.normal(size=(buses, 3))
        grids.append(Grid(loads, lines, float(lines.sum() / buses - 0.1 * np.abs(loads).mean())))
    return grids
