"""Every item is a file of its own, and opening the files takes much of making a batch.

What it is: a dataset of many small files: about one open or more an item.

Why it is slow: for each file a path is looked up, a file opened, read and closed, in random order. On a disk or a
network file system that is one or more round trips of 0.1 to 10 ms for a few KB, a hundredth of what the storage can
deliver.

How it is seen: files opened by Python code in the workers, counted, and the lines that opened them; without workers,
lines of the dataset that open files by names which differ from item to item, where the kernel counted a call that
reads, or more, for each item. Stack samples on those lines against all samples of making batches; bytes read an item.
The fix is replayed with their time cheaper.

Saving: of lines that only open and read, and of time in libraries that do, nothing remains but a look-up for each file,
2 µs (measured for a row of a numpy.memmap; one number of it took 0.2). Of the rest of lines that also do something with
what they read (``json.loads(file.read())``) 0.5 is expected to remain, from 0.1 to 0.9; of decoders that wait for their
files 0.1, from 0.01 to 0.5.

Stays quiet when: fewer files than items are opened, the files are large (more than 256 KB an item), the lines take less
than 30 % of making a batch, the loop does not wait for batches, more workers would hide it, or it is the same file each
time (file-reopened). Files opened by C code are not counted.

Fix: pack the files once into shards of 100 MB or more and read them in sequence (webdataset, datasets, LMDB), or into
one array:

    self.rows = np.load("rows.npy", mmap_mode="r")   # in __init__

Sources: open_clip discussion 120 (sequential against random reads); WebDataset documentation; CoorDL.
"""

from __future__ import annotations

import math

from slowprobe.diagnose.call_names import called, names_match
from slowprobe.diagnose.edits import look_up
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.item_calls import DECODE_CALLS, READ_CALLS, kind_of
from slowprobe.diagnose.making_parts import (
    MIN_SAMPLES,
    Part,
    cheaper,
    examined,
    file_wait,
    hardly_waits,
    of_batch,
    part_of,
)
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import COVERING
from slowprobe.diagnose.rules.file_reopened import callers
from slowprobe.diagnose.same_file import opener_at, opens_another, statement_text
from slowprobe.diagnose.same_reading import reader_at
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor
from slowprobe.timeline.making_stacks import StackTime

MIN_OPENS = 0.9  # an item; the last readings of a worker may miss some
MIN_PART = 0.3  # of making a batch
LARGE_BYTES = 256 * 1024  # an item: storage delivers as much in the 1-3 ms that one open and seek cost it
SHARD_BYTES = 100_000_000  # webdataset's advice: 100 MB or more, so that a seek is lost in reading them
MIN_WAITING = 0.5  # of a decoder's line; one that computes is decode-bound
# See "Saving" above.
OPENING, USING, DECODING = Factor(0.0, 0.0, 0.05), Factor(0.1, 0.5, 0.9), Factor(0.01, 0.1, 0.5)
LOOK_UP = Factor(1e-6, 2e-6, 4e-6)  # seconds a file
OF_READING = ("close", "join", "Path", "str", "fspath", "seek", "joinpath", "with_suffix", "format", *READ_CALLS)

RULE = Rule(
    title="Each item is a small file of its own",
    bottleneck="input",
    needs=("loaders", "making_stacks", "replay", "source"),
    closer_than=("slow-transform", "storage-bound"),
    before=COVERING,
)


def check(run: Evidence) -> Answer:
    """Find loaders that spend their time on opening files."""
    return examined(run, _diagnose)


def _diagnose(run: Evidence, loader: LoaderFacts) -> Diagnosis | Passed | NotChecked:
    if loader.id not in run.making_stacks:
        return NotChecked("no stack samples were taken while batches were made")
    places = {(site.file, site.line) for site, _ in loader.making.open_sites}
    opens = loader.making.opens_per_item
    if not loader.num_workers:
        calls = loader.making.read_calls_per_item
        if calls is None:
            return NotChecked("what the training process reads for a batch was not recorded")
        places = _opening(run, loader)
        opens = 1.0 if places and calls >= MIN_OPENS else 0.0
    if opens is None:
        return NotChecked("files opened by the workers were not counted")
    if opens < MIN_OPENS:
        return Passed(f"{opens:.2g} files are opened an item")
    item_bytes = _item_bytes(loader)
    if item_bytes is not None and item_bytes > LARGE_BYTES:
        return Passed(f"an item reads {item_bytes / 1024:.0f} KB: its files are large")
    decoders = part_of(run, loader, "fetch", lambda stack: kind_of(run.source, stack) == "decode")
    computing = file_wait(loader, decoders) < MIN_WAITING
    part = part_of(run, loader, "fetch", lambda stack: _reads(run, stack, places, computing))
    share = of_batch(loader, part)
    if share < MIN_PART or part.samples < MIN_SAMPLES:
        return Passed(f"{opens:.2g} files are opened an item, and their lines take {share:.0%} of making a batch")
    change = cheaper(loader, part, _remaining(run, loader, part, opens))
    reason = hardly_waits(run, change)
    if reason:
        return Passed(f"{opens:.2g} files are opened an item, but {reason}")
    size = "" if item_bytes is None else f" of {item_bytes / 1024:.1f} KB"
    files = f"{opens:.2g} files{size} are opened" if loader.num_workers else f"a file{size} is opened"
    return Diagnosis(
        summary=(
            f"{files[0].upper()}{files[1:]} for each item; the lines that open and read them take {share:.0%} of "
            f"making a batch ({share * (loader.make_s or 0) * 1000:.1f} of {(loader.make_s or 0) * 1000:.1f} ms)."
        ),
        where=part.where,
        fix=Fix(text=_advice(item_bytes), diff=_diff(run, part)),
        changes=[change],
        basis="stated range",
        evidence={
            "files opened, an item": round(opens, 3) if loader.num_workers else "not counted",
            "calls that read, an item": _rounded(loader.making.read_calls_per_item),
            "bytes read, an item": "not read" if item_bytes is None else round(item_bytes),
            "share of making a batch": round(share, 4),
            "waiting, of their time": round(file_wait(loader, part), 3),
            "num_workers": loader.num_workers,
        },
    )


def _remaining(run: Evidence, loader: LoaderFacts, part: Part, opens: float) -> Factor:
    """What remains of the lines together, by what else they do; below them, code that reads does nothing else."""
    within = part_of(run, loader, "fetch", lambda stack: bool(stack.below) and kind_of(run.source, stack) == "read")
    seconds, files = sum(part.lines.values()), opens * (loader.making.items_per_batch or loader.batch_size or 1)
    part_s = part.share * float(loader.fetch.mean())
    left = [0.0, 0.0, 0.0]
    for site, spent in part.lines.items():
        calls = [name for name, _ in called(statement_text(run.source, site))]
        others = [name for name in calls if not names_match(name, OF_READING)]
        kind = USING if others else OPENING
        if any(names_match(name, DECODE_CALLS) for name in calls):
            kind = DECODING
        for at, case in enumerate(("best", "expected", "worst")):
            reading = min(spent, within.lines.get(site, 0.0))
            left[at] += (reading * getattr(OPENING, case) + (spent - reading) * getattr(kind, case)) / seconds
    looked_up = (files * each / part_s for each in (LOOK_UP.best, LOOK_UP.expected, LOOK_UP.worst))
    return Factor(*(min(1.0, each + look_up) for each, look_up in zip(left, looked_up, strict=True)))


def _reads(run: Evidence, stack: StackTime, places: set[tuple[str, int]], computing: bool) -> bool:
    """On a line that opens files, or reading one; decoding only where that is not `computing`."""
    users = [frame for frame, is_users in zip(stack.frames, stack.users, strict=True) if is_users]
    kind = kind_of(run.source, stack)
    if kind in ("tokenize", "elsewhere") or (kind == "decode" and computing):
        return False
    if opener_at(run.source, callers(stack)) is not None or reader_at(run.source, callers(stack)) is not None:
        return False
    return kind in ("read", "decode") or any((frame.file, frame.line) in places for frame in users[-1:])


def _opening(run: Evidence, loader: LoaderFacts) -> set[tuple[str, int]]:
    """The sampled lines of the dataset that open a file whose name depends on the item, and not under a condition."""
    stacks = [stack for stack in run.making_stacks[loader.id] if stack.bucket == "fetch"]
    found = {sites[0] for stack in stacks if (sites := callers(stack)) and opens_another(run.source, sites)}
    return {(site.file, site.line) for site in found}


def _item_bytes(loader: LoaderFacts) -> float | None:
    read, items = loader.making.rchar_per_batch, loader.making.items_per_batch
    return None if read is None or not items else read / items


def _rounded(value: float | None) -> float | str:
    return "not read" if value is None else round(value, 2)


def _advice(item_bytes: float | None) -> str:
    items = "" if not item_bytes else f", here {max(1, math.ceil(SHARD_BYTES / item_bytes / 100)) * 100} items,"
    return (
        f"Pack the files once into shards of 100 MB{items} and read those in sequence; or into one array that is "
        "memory-mapped in __init__."
    )


def _diff(run: Evidence, part: Part) -> str:
    """The item looked up in one array, where the line reads an array of its own."""
    site = part.site
    names = [name for name, _ in called(run.source.line(site.file, site.line))] if site is not None else []
    if not any(names_match(name, ("np.load", "numpy.load", "fromfile", "loadtxt")) for name in names):
        return ""
    return look_up(run.source, site, "self.items[{index}]", 'packed once: np.load("items.npy", mmap_mode="r")')
