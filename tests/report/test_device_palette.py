"""The device's colours, as people with and without colour blindness see them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from slowprobe.report.palette import LIGHT_AND_DARK

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
SEEN = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
TOGETHER = {
    "device": """matmul convolution attention elementwise normalization reduction indexing embedding optimizer
        communication copy copy_kernel memset other""",
    "idle": "data_wait python launch queue_full allocator off_step other",
    "host": "python framework data_wait launch sync allocator",
}
APART = 9.0  # CIE76; 2.3 can just be noticed side by side


def lab(colour: str, vision: str) -> np.ndarray:
    channels = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(SEEN[vision]) @ linear, 0, 1)
    ratio = TO_XYZ @ seen / np.array([0.95047, 1.0, 1.08883])
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", SEEN)
@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("chart", TOGETHER)
def test_colours_of_one_chart_differ(chart: str, theme: int, vision: str) -> None:
    for one, other in combinations(TOGETHER[chart].split(), 2):
        apart = np.linalg.norm(lab(LIGHT_AND_DARK[one][theme], vision) - lab(LIGHT_AND_DARK[other][theme], vision))
        assert apart >= APART, (one, other, apart)
