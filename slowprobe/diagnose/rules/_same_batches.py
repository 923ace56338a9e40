"""Whether the workers of an IterableDataset make the same batches, each all of them."""

from __future__ import annotations

from collections import defaultdict

from slowprobe.diagnose.evidence import Evidence
from slowprobe.timeline.loaders import LoaderFacts

LEAST = 2  # batches of each worker compared: one may be alike by chance (a header, a warm-up sample)


def same_batches(loader: LoaderFacts) -> bool | None:
    """Whether their first batches are equal; None where too few were recorded, or they tell nothing."""
    enough = [each for each in first_digests(loader).values() if len(each) >= LEAST]
    if len(enough) < 2 or any(len(set(each)) < 2 for each in enough):
        return None
    return all(one == other for each in enough for one, other in zip(each, enough[0], strict=False))


def unsharded(loader: LoaderFacts) -> bool:
    """Whether more workers would only make more of the same batches."""
    return loader.iterable and loader.num_workers > 1 and bool(same_batches(loader))


def divide_first(run: Evidence, loader: LoaderFacts) -> str:
    """What to add to advice for several workers where an IterableDataset does not ask which one it runs in."""
    found = run.source.find_class(loader.dataset_name) if loader.iterable else None
    if found is None or any("get_worker_info" in text for text in run.source.lines(found[0])):
        return ""
    return (
        f" First let {loader.dataset_name}.__iter__ yield each worker a part of its own "
        "(torch.utils.data.get_worker_info), or each of them makes all batches."
    )


def first_digests(loader: LoaderFacts) -> dict[int, list[int]]:
    """By worker, of the first batches that it made after its first start."""
    making = loader.making
    found: dict[int, dict[int, int]] = defaultdict(dict)
    if len(making.digest) == len(making.worker):
        columns = (making.worker.tolist(), making.number.tolist(), making.digest.tolist())
        for worker, number, digest in zip(*columns, strict=True):
            if digest > 0:
                found[worker].setdefault(number, digest)
    return {worker: [digest for _, digest in sorted(rows.items())] for worker, rows in found.items()}
