from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from slowprobe.capture.batch_digest import UNKNOWN, batch_digest


def tensors(seed):
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "make",
    [
        tensors,
        lambda seed: tensors(seed).bfloat16(),
        lambda seed: tensors(seed).t(),
        lambda seed: tensors(seed) > 0,
        lambda seed: torch.tensor(seed),
        lambda seed: [tensors(0), torch.tensor([seed])],
        lambda seed: {"image": tensors(0), "label": [f"name {seed}"]},
        lambda seed: (tensors(0).requires_grad_(), seed),
        lambda seed: np.arange(seed, seed + 9),
        lambda seed: np.arange(seed, seed + 16).reshape(4, 4).T,
        lambda seed: torch.cat([torch.zeros(100_000), tensors(seed).flatten()]),
    ],
)
def test_equal_contents_have_equal_digests_and_others_do_not(make):
    assert batch_digest(make(1)) == batch_digest(make(1)) > 0
    assert batch_digest(make(1)) != batch_digest(make(5))


class Hostile:
    def __getattr__(self, name):
        raise RuntimeError(name)


@pytest.mark.parametrize(
    "batch",
    [None, object(), [], torch.empty(0), torch.ones(3, 3).to_sparse(), np.array([object()], dtype=object)],
)
def test_what_cannot_be_read_is_unknown(batch):
    assert batch_digest(batch) == UNKNOWN


def test_what_raises_is_unknown():
    assert batch_digest(Hostile()) == UNKNOWN


def test_a_cycle_ends():
    batch = [1]
    batch += [batch] * 500
    assert batch_digest(batch) > 0


def test_no_random_number_is_drawn():
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    batch_digest({"x": tensors(0), "y": np.ones(3), "z": [1, "a"]})
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
    assert states[2] == random.getstate()
