"""Every pass reads the data from storage again, because they do not fit into the memory that is free.

What it is: a dataset larger than the memory which the operating system has to spare. Read in random order, what was
read last epoch is gone before it is asked for again.

Why it is slow: the loop waits for the disk or the network in every epoch, not only in the first.

How it is seen: most bytes that workers read came from storage, in later passes as in the first; a pass reads more than
was free while the run was recorded. The waiting is replayed as shorter.

Saving: a stated range. Of the waiting nothing remains where the data fit, and as large a part as still has to be read
where they are made half as large; 0.9 where storage is local and fast already.

Stays quiet when: there was one pass; later passes find their bytes in memory (cold-cache); a pass fits into what is
free; the dataset hardly waits; or more workers would hide the waiting.

Fix: fewer bytes an item (uint8 for float32, compressed shards, images no larger than the model takes), until a pass
fits; a node with more memory, or fewer ranks on it; a local disk.

Sources: CoorDL and DS-Analyzer (thrashing of the page cache, a cache that keeps a fixed part: MinIO); gpuprof.
"""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.making_parts import (
    Part,
    cheaper,
    examined,
    part_of,
    pass_bytes,
    passes_for,
    storage_wait,
    warm_ratio,
)
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import BESIDE_WORKERS
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor

FROM_STORAGE = 0.5  # of the bytes read; a pass that memory serves has next to none
WARM = 1.5  # first pass over later ones: there the cache does help
MIN_WAIT = 0.2  # of the dataset's time; with less, reading from memory would not be felt
FITS = 0.9  # of the free memory: the rest of the machine needs some
NOT_EASED = 0.9  # of the waiting remains at worst (see "Saving" above)

RULE = Rule(
    title="The data do not fit into memory: every pass reads them from storage",
    bottleneck="input",
    needs=("loaders", "making_stacks", "source", "available_bytes", *BESIDE_WORKERS),
    closer_than=("storage-bound", "slow-transform"),
)


def check(run: Evidence) -> Answer:
    """Find loaders that read more in a pass than memory keeps."""
    return examined(run, _diagnose)


def _diagnose(run: Evidence, loader: LoaderFacts) -> Diagnosis | Passed | NotChecked:
    asked, stored, free = loader.making.rchar_per_batch, loader.making.read_bytes_per_batch, run.available_bytes
    size, waiting, ratio = pass_bytes(loader), storage_wait(loader), warm_ratio(loader)
    if not asked or stored is None or not free or not size or waiting is None:
        return NotChecked("what workers read, or how much memory was free, was not recorded")
    if loader.passes < 2:
        return NotChecked("there was one pass: what the next one finds in memory is not known")
    if stored < FROM_STORAGE * asked:
        return Passed(f"{stored / asked:.0%} of the bytes that were read came from storage")
    if ratio is not None and ratio >= WARM:
        return Passed(f"later passes find their data in memory (the first takes {ratio:.1f} times as long)")
    if size <= FITS * free:
        return Passed(f"a pass reads {size / 1e9:.2g} GB, and {free / 1e9:.2g} GB of memory are free")
    if waiting < MIN_WAIT:
        return Passed(f"the dataset waits for storage {waiting:.0%} of its time")
    missing = 1 - FITS * free / size  # of a pass, if what fits were kept
    change = cheaper(loader, Part("fetch", waiting), Factor(0.0, min(missing, NOT_EASED), NOT_EASED))
    reason = passes_for(run, loader, change)
    if reason:
        return Passed(f"a pass reads more than memory holds, but {reason}")
    times = size / (FITS * free)
    return Diagnosis(
        summary=(
            f"A pass reads {size / 1e9:.2g} GB and {free / 1e9:.2g} GB of memory are free: {stored / asked:.0%} of the "
            f"bytes come from storage in every pass, and the dataset waits for them {waiting:.0%} of its time."
        ),
        where=part_of(run, loader, "fetch", lambda stack: stack.site is not None).where,
        fix=Fix(
            text=(
                f"Make the data {times:.1f} times smaller and a pass fits: uint8 for float32 is 4 times, images no "
                "larger than the model takes, compressed shards. Or copy them to a fast local disk."
            )
        ),
        changes=[change],
        basis="stated range",
        evidence={
            "bytes a pass": round(size),
            "free memory, bytes": round(free),
            "of the bytes from storage": round(stored / asked, 3),
            "waiting, of the dataset's time": round(waiting, 3),
            "first pass over later ones": "not known" if ratio is None else round(ratio, 2),
            "num_workers": loader.num_workers,
        },
    )
