"""What a DataLoader is set to, for the rules to read."""

from __future__ import annotations

import multiprocessing
import sys
from typing import Any

from slowprobe.capture.subjects import Attributes

MAX_ATTRIBUTES = 50  # of a dataset that are looked at
MAX_SUBSETS = 10  # one in another; a ring of them would never end


def describe(loader: Any) -> Attributes:
    """What the rules need to know of a DataLoader; anything that cannot be told is None."""
    context = loader.multiprocessing_context
    below = below_subsets(loader.dataset)
    return {
        "class": type(loader).__name__,
        "dataset": type(loader.dataset).__name__,
        "subset_of": type(below).__name__ if below is not loader.dataset else None,
        "num_workers": loader.num_workers,
        "batch_size": loader.batch_size,
        "sampler_batch_size": _sampler_batch_size(loader),
        "prefetch_factor": loader.prefetch_factor,
        "persistent_workers": loader.persistent_workers,
        "pin_memory": loader.pin_memory,
        "in_order": getattr(loader, "in_order", True),
        "start_method": context.get_start_method() if context is not None else None,
        "shuffle": type(loader.sampler).__name__ == "RandomSampler",
        "length": batches_in_pass(loader),
        "collate": getattr(loader.collate_fn, "__qualname__", type(loader.collate_fn).__name__),
        "iterable": _iterable(loader),
        "timeout_s": getattr(loader, "timeout", 0),
        "context": _context(loader),
        "pin_thread": _pins(loader),
        "arrays": _arrays(below),
    }


def below_subsets(dataset: Any) -> Any:
    """The dataset that is indexed in the end, where `random_split` or a Subset, or several, only choose its rows."""
    subset = sys.modules["torch"].utils.data.Subset
    for _ in range(MAX_SUBSETS):
        if type(dataset) is not subset:  # a subclass may do more
            break
        dataset = dataset.dataset
    return dataset


def _sampler_batch_size(loader: Any) -> int | None:
    """What a batch sampler says it gives, as batch_sampler or, with batch_size=None, as sampler."""
    for sampler in (loader.batch_sampler, loader.sampler):
        size = getattr(sampler, "batch_size", None)
        if isinstance(size, int) and not isinstance(size, bool) and size > 0:
            return size
    return None


def _context(loader: Any) -> str | None:
    """How workers are started; asking the usual way would settle what is not settled yet."""
    if not loader.num_workers:
        return None
    context = loader.multiprocessing_context
    method: str | None = (context or multiprocessing).get_start_method(allow_none=True)
    return method or multiprocessing.get_all_start_methods()[0]


def _pins(loader: Any) -> bool | None:
    """Whether a thread pins batches; torch asks for a device in the same way just after."""
    if not loader.pin_memory or not loader.num_workers:
        return False
    accelerator = getattr(sys.modules["torch"], "accelerator", None)
    return None if accelerator is None else bool(accelerator.is_available())


def _arrays(dataset: Any) -> str:
    """Attributes of the dataset that are tensors or arrays, all of a TensorDataset being ``tensors``."""
    kinds = tuple(
        getattr(sys.modules[module], name)
        for module, name in (("torch", "Tensor"), ("numpy", "ndarray"))
        if module in sys.modules
    )
    if type(dataset) is sys.modules["torch"].utils.data.TensorDataset:
        return "tensors"
    held = list(getattr(dataset, "__dict__", {}).items())[:MAX_ATTRIBUTES]
    return ",".join(name for name, value in held if isinstance(value, kinds))


def _iterable(loader: Any) -> bool:
    data = sys.modules["torch"].utils.data  # an IterableDataset inherits a __getitem__ that only raises
    if isinstance(loader.dataset, data.IterableDataset):
        return True
    return hasattr(loader.dataset, "__iter__") and not hasattr(loader.dataset, "__getitem__")


def batches_in_pass(loader: Any) -> int | None:
    """None where the loader cannot tell."""
    # Asking an IterableDataset for its length makes torch warn about it later, so only samplers are asked.
    sampler = loader.batch_sampler if loader.batch_sampler is not None else loader.sampler
    try:
        return None if _iterable(loader) else len(sampler)
    except Exception:
        return None
