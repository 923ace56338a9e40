"""Prints what a training computed, exactly: losses, weights and the state of every random generator."""

import hashlib
import random

import numpy as np
import torch


def _digest(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else repr(part).encode())
    return digest.hexdigest()[:16]


def seed(number=0):
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def show(losses, *tensors_of):
    for index, loss in enumerate(losses):
        print("loss", index, repr(float(loss)))
    for owner in tensors_of:
        tensors = list(owner.state_dict().values()) if hasattr(owner, "state_dict") else list(owner)
        print("weights", _digest(*(t.detach().to(torch.float64).numpy().tobytes() for t in tensors)))
    print(
        "rng",
        _digest(torch.get_rng_state().numpy().tobytes()),
        _digest(np.random.get_state()),
        _digest(random.getstate()),
    )
