"""A wavy distortion, by one index."""

import numpy as np


def distort(picture, rng, strength=3.0):
    """Move each pixel along a sine wave with a random phase."""
    rows, columns = np.indices(picture.shape)
    sources = (columns + strength * np.sin(rows / 5 + rng.random() * 6)).astype(int) % picture.shape[1]
    return picture[rows, sources]
