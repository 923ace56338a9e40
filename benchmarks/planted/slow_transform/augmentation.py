"""A wavy distortion, pixel by pixel."""

import math

import numpy as np


def distort(picture, rng, strength=3.0):
    """Move each pixel along a sine wave with a random phase."""
    phase, result = rng.random() * 6, np.empty_like(picture)
    height, width = picture.shape
    for row in range(height):  # slowprobe: rule=slow-transform
        for column in range(width):  # slowprobe: rule=slow-transform
            source = int(column + strength * math.sin(row / 5 + phase)) % width  # slowprobe: rule=slow-transform
            result[row, column] = picture[row, source]  # slowprobe: rule=slow-transform
    return result
