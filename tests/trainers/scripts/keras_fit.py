"""Keras 3 on torch: model.fit, whose optimizer is Keras's own."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np

if __name__ == "__main__":
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((240, 32), dtype=np.float32), rng.integers(0, 4, 240)
    model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(256, activation="relu"), keras.layers.Dense(4)])
    model.compile(
        optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False
    )
    model.fit(x, y, batch_size=8, epochs=2, verbose=0, shuffle=False)
    print("weights", repr(float(sum(np.abs(w).sum(dtype=np.float64) for w in model.get_weights()))))
