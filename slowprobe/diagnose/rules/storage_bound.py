"""Workers wait for storage most of the time in which they make batches, and the loop waits for them.

What it is: more than half of the dataset's time passes off the CPU, on lines that read files (or with pages really
fetched from storage), and more workers would not hide it.

Why it is slow: a disk, a network mount or object storage delivers less than the loop uses up. No line of code is slow:
the bytes are too far away, or too many.

How it is seen: wall time less CPU time of the dataset calls, less what waiting for a core explains (times that a core
was taken away); stack samples on reading lines; bytes fetched from storage. The fix is replayed with the waiting gone.

Saving: where a pass fits into free memory, the lines that read then take as long as reading as many bytes from memory
took after the run (twice as long at worst). Otherwise a stated range: of the waiting 0.3 is expected to remain with a
local copy, nothing at best, and 0.9 where the storage is local already (measured by others: a faster local disk gave
0.92-1.03 times, leaving object storage 2 times).

Stays quiet when: as many workers as cores hide most of the waiting (workers-zero and workers-too-few name their number;
how many of them the storage serves at once is not known); only the first
pass waits, and later ones find the files in memory; what is waited for is a sleep, the network or a core; the loop does
not wait for batches; or the files are small and many (small-files), or one is opened again and again (file-reopened).

Fix: copy the data to a local disk or to memory before training (cp -r data /dev/shm/data); store fewer bytes an item
(uint8 for float32, compressed shards).

Sources: DS-Analyzer and CoorDL (fetch stalls); rf-detr issue 1396 (disks compared); SageMaker Debugger (IOBottleneck).
"""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.item_calls import kind_of
from slowprobe.diagnose.making_parts import (
    MIN_SAMPLES,
    Part,
    better_workers,
    cheaper,
    examined,
    of_batch,
    part_of,
    pass_bytes,
    passes_for,
    storage_wait,
    warm_ratio,
)
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import BESIDE_WORKERS, COVERING
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor, Reload
from slowprobe.timeline.making_stacks import StackTime

MIN_WAIT = 0.5  # of the dataset's time; with less, computing is what batches take
MIN_READING = 0.5  # of the dataset's time on lines that read, or else pages from storage
COLD = 3.0  # first pass over later ones: memory answers 10 to 1000 times as fast as storage, so 3 is no noise
PAGE_BYTES = 4096  # fetched from storage an item: the least that a read which misses the page cache brings
REMAINING = Factor(0.0, 0.3, 0.9)  # see "Saving" above

RULE = Rule(
    title="Making batches waits for storage",
    bottleneck="input",
    needs=("loaders", "making_stacks", "source", "available_bytes", "costs", *BESIDE_WORKERS),
    closer_than=("slow-transform",),
    before=COVERING,
)


def check(run: Evidence) -> Answer:
    """Find loaders that wait for storage."""
    return examined(run, _diagnose)


def _diagnose(run: Evidence, loader: LoaderFacts) -> Diagnosis | Passed | NotChecked:
    waiting = storage_wait(loader)
    if waiting is None or loader.id not in run.making_stacks:
        return NotChecked("CPU time, or stack samples, of making batches were not recorded")
    if waiting < MIN_WAIT:
        return Passed(f"{waiting:.0%} of the dataset's time is waiting, other than for a core")
    ratio = warm_ratio(loader)
    if ratio is not None and ratio >= COLD:
        return Passed(f"the first pass reads from storage ({ratio:.1f} times as dear), later ones from memory")
    reading = part_of(run, loader, "fetch", lambda stack: kind_of(run.source, stack) in ("read", "decode"))
    elsewhere = part_of(run, loader, "fetch", lambda stack: kind_of(run.source, stack) == "elsewhere")
    fetched = _storage_bytes_per_item(loader)
    if elsewhere.share > reading.share and elsewhere.share >= MIN_WAIT * waiting:
        return Passed(f"the dataset waits for the network, a lock or a sleep {elsewhere.share:.0%} of its time")
    if reading.share < MIN_READING and (fetched or 0.0) < PAGE_BYTES:
        return Passed(f"the dataset waits {waiting:.0%} of its time, but {reading.share:.0%} of it on lines that read")
    if reading.samples < MIN_SAMPLES and reading.share >= MIN_READING:
        return NotChecked("too few stack samples were taken while batches were made")
    held_up = part_of(run, loader, "fetch", lambda stack: _reads_or_waits(run, stack))
    in_memory = _from_memory(run, loader, max(waiting, held_up.share))
    change = in_memory or cheaper(loader, Part("fetch", waiting), REMAINING)
    reason = passes_for(run, loader, change)
    if reason:
        return Passed(f"the dataset waits for storage {waiting:.0%} of its time, but {reason}")
    where = reading if reading.lines else part_of(run, loader, "fetch", lambda _: True)
    return Diagnosis(
        summary=(
            f"The dataset waits for storage {waiting:.0%} of its time: "
            f"{waiting * float(loader.fetch.mean()) * 1000:.1f} of the {(loader.make_s or 0) * 1000:.1f} ms in which a "
            "batch is made."
        ),
        where=where.where,
        fix=Fix(text=_advice(run, loader)),
        changes=[change],
        basis="stated range" if in_memory is None else "calibrated replay",
        evidence={
            "waiting, of the dataset's time": round(waiting, 4),
            "on lines that read": round(reading.share, 4),
            "of a batch": round(of_batch(loader, reading), 4),
            "bytes read, a batch": _rounded(loader.making.rchar_per_batch),
            "of them from storage": _rounded(loader.making.read_bytes_per_batch),
            "files opened, an item": _rounded(loader.making.opens_per_item),
            "first pass over later ones": "one pass" if ratio is None else round(ratio, 2),
            "num_workers": loader.num_workers,
        },
    )


def _storage_bytes_per_item(loader: LoaderFacts) -> float | None:
    read, workers = loader.making.read_bytes_per_batch, loader.making.workers
    items = sum(worker.items for worker in workers)
    return None if read is None or not items else read * sum(worker.batches for worker in workers) / items


def _reads_or_waits(run: Evidence, stack: StackTime) -> bool:
    """On a line that reads, or off the CPU for most of its time for no other known reason."""
    kind = kind_of(run.source, stack)
    return kind in ("read", "decode") or (kind is None and stack.cpu_s < (1 - MIN_WAIT) * stack.seconds)


def _from_memory(run: Evidence, loader: LoaderFacts, share: float) -> Reload | None:
    """This share of the dataset's time read from memory; None where a pass does not fit, or nothing was tried."""
    ms_per_mb, read, size, free = (
        run.costs.get("read_ms_per_mb"),
        loader.making.rchar_per_batch,
        pass_bytes(loader),
        run.available_bytes,
    )
    if ms_per_mb is None or not read or not size or not free or size > free:
        return None
    of_memory = read / 1e6 * ms_per_mb / 1e3 / (share * float(loader.fetch.mean()))
    return Reload(loader.id, fetch=Factor(*(min(1.0, of_memory * times) for times in (1, 1, 2))).of_part(share))


def _advice(run: Evidence, loader: LoaderFacts) -> str:
    size, free = pass_bytes(loader), run.available_bytes
    known = "" if not size else f" ({size / 1e9:.2g} GB a pass)"
    if size and free and size > free:
        return (
            f"A pass reads {size / 1e9:.2g} GB and {free / 1e9:.2g} GB of memory are free: every pass reads from "
            "storage. Store fewer bytes an item (uint8, compressed shards), or copy the data to a fast local disk."
        )
    workers = f"{loader.num_workers} workers are enough then" if loader.num_workers else "no worker is needed then"
    more = better_workers(run, loader)
    beside = (
        "" if more <= loader.num_workers else f" {more} workers help, too, where the storage serves several at once."
    )
    return f"Copy the data{known} to a local disk or to /dev/shm before training; {workers}.{beside}"


def _rounded(value: float | None) -> float | str:
    return "not read" if value is None else round(value, 2)
