"""Handing batches over from the workers takes the training thread's time.

What it is: batches leave a worker as thousands of Python objects, as many small tensors, or as very large ones.

Why it is slow: a worker pickles what it made and the training thread unpickles it. Tensors go by shared memory, only
their handles are pickled; Python objects go through a pipe, object by object, and the training thread pays for each,
however many workers there are; every 700 of them set the garbage collector off as well. Each tensor costs a file
handle; a large one, a copy in the worker.

How it is seen: the CPU time of the training thread while it asks for a batch (waiting for a worker takes none); the
time of pickling in the workers and the size of a pickled batch; collections meanwhile, where Python objects are handed
over; for many tensors, the wait that idle workers do not explain, at most a millisecond each. Where workers are at work
all the time only because they pickle, that counts, too.

Saving: the waits of the recorded loop without most of that, down to those that remain because the workers make no more:
the recorded batches are simulated on as many workers, with the millisecond that a batch of a few tensors costs.
Measured on torch 2.13, both ends together, for the same values: 2.9 MB of pickled lists 18.6 ms, one tensor 2.4; 0.3 MB
of them 1.5 ms, one tensor 0.5; 64 tensors 17-72 ms, one 0.4-2.4. Of what is above the millisecond 0.1 is expected to
remain, from 0.0 to 0.5 (a copy of large tensors remains in part).

Stays quiet when: taking a batch costs the training thread under a millisecond and the workers are busy (then making
batches is what limits), or less than 3 % of loop time would be saved.

Fix: by cause: tensors or arrays instead of lists and dictionaries of numbers; one tensor for a batch, collated in the
worker; uint8 images, made float on the device or after the hand-over.

Sources: PyTorch documentation of torch.multiprocessing; rf-detr#1396 (the hand-over limits whatever the format).
"""

from __future__ import annotations

import ast
from typing import Any, Literal

import numpy as np

from slowprobe.diagnose.edits import place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix, Where
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.run.record import Site
from slowprobe.timeline.loader_model import LoaderModel
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor, Scale
from slowprobe.timeline.pipeline import HandOver, simulate
from slowprobe.timeline.uncontended import CASES, SIMULATED, Case

Cause = Literal["objects", "tensors", "bytes"]

TAKE_S = 0.001  # a batch of a few tensors: measured 0.2-0.7 ms on Linux, 1.0 ms where cores are shared
BUSY = (
    0.85  # of the time; workers that make batches for longer are what limits: more of them, or cheaper batches, first
)
MIN_SAVING = 0.03  # of loop time; the thread's clock is read for some batches only
PIPE_BYTES = 65_536  # what a pipe holds: of a larger batch each end waits for the other
OBJECTS_SHARE = 0.1  # of a batch's bytes; below, the tensors are the batch
HANDLE_BYTES = 70  # of one pickled tensor: its handle and size; 64 of them were 4.4 KB
SMALL = 4.0  # bytes of tensors for each of their handles: below that it is not handles that are pickled
HANDLE_S = 0.001  # to ask its worker for one: measured 0.3-1.1 ms; the worker's interpreter lock is waited for, too
MANY, LARGE_BYTES = 16, 10_000_000  # tensors; copying 10 MB into new shared memory takes 3-10 ms
MENTIONED = 0.01  # of loop time; fewer collections than gc-pause would report
LEFT = Factor(0.0, 0.1, 0.5)  # see "Saving" above

RULE = Rule(
    title="Handing batches over from workers holds up the loop",
    bottleneck="input",
    needs=("loaders", "loader_models", "partition", "receiving", "collecting", "source"),
    closer_than=("workers-too-few",),  # the loop takes no more batches over, however many make them
    before=("slow-transform",),
)


def check(run: Evidence) -> Answer:
    """Find loaders with workers whose batches are dear to hand over."""
    loaders = [each for each in run.loaders if each.num_workers > 0 and each.role == "training" and not each.watched]
    if not loaders:
        return NotApplicable("no training loader has worker processes")
    known = [each for each in loaders if each.id in run.receiving or each.making.hand_over_s is not None]
    if not known:
        return NotChecked("how batches are handed over was not recorded")
    found = [diagnosis for loader in known if (diagnosis := _diagnose(run, loader)) is not None]
    most = max(run.receiving.get(loader.id, 0.0) for loader in known)
    return found or Passed(f"taking a batch from a worker costs the training thread {most * 1000:.2f} ms")


def _diagnose(run: Evidence, loader: LoaderFacts) -> Diagnosis | None:
    making, cause = loader.making, _cause(loader)
    take, give = run.receiving.get(loader.id, 0.0), _mean(making.hand_over)
    busy = _mean(np.array([worker.busy_share for worker in making.workers]))
    wait = loader.wait_s / max(loader.batches, 1)
    period = run.partition.loop_s / max(loader.batches, 1)
    sending = ((loader.make_s or 0.0) + give) / loader.num_workers > BUSY * period and busy < BUSY
    sent = max(0.0, give - TAKE_S) / loader.num_workers if making.workers and sending else 0.0
    collecting = run.collecting.get(loader.id, {}) if cause == "objects" else {}
    collecting_s = sum(collecting.values())
    taken = max(0.0, take - TAKE_S - collecting_s / max(loader.batches, 1))
    if cause == "tensors" and busy < BUSY and making.workers:  # the thread also sleeps until the worker sends handles
        handles_s = _handles(loader) * HANDLE_S
        supply_s = (loader.make_s or 0.0) / loader.num_workers - (period - wait)
        taken = max(taken, min(handles_s, wait - TAKE_S - max(0.0, supply_s)))
    held_up = max(0.0, min(wait - TAKE_S - collecting_s / max(loader.batches, 1), taken + sent))
    in_wait_s = held_up * loader.batches
    seconds = in_wait_s + collecting_s
    left = _left(run.loader_models.get(loader.id), loader, seconds)
    if cause is None or seconds * (1 - left.expected) < MIN_SAVING * run.partition.loop_s:
        return None
    collected = (
        f" Collections while it unpickles take {collecting_s / run.partition.loop_s:.0%} of loop time."
        if collecting_s >= MENTIONED * run.partition.loop_s
        else ""
    )
    return Diagnosis(
        summary=(
            f"Taking a batch over costs the training thread {take * 1000:.1f} ms, sending it its worker "
            f"{give * 1000:.1f} ms: {seconds / run.partition.loop_s:.0%} of loop time is the hand-over, for "
            f"{_what(loader, cause)}.{collected} More workers do not help."
        ),
        where=_where(run, loader, cause),
        fix=Fix(text=_advice(loader, cause)),
        changes=[
            Scale("data_wait", "step", in_wait_s, left),
            *(Scale("gc", scope, spent, left) for scope, spent in collecting.items()),
        ],
        basis="stated range",
        evidence={
            "taking a batch over, ms of the training thread": round(take * 1000, 3),
            "pickling a batch, ms of a worker": round(give * 1000, 3),
            "pickled, KB a batch": round((making.payload_bytes or 0.0) / 1e3, 1),
            "collecting garbage meanwhile, ms a batch": round(collecting_s / max(loader.batches, 1) * 1000, 3),
            "tensors, KB a batch": round((making.batch_bytes or 0.0) / 1e3, 1),
            "waiting for a batch, ms": round(wait * 1000, 3),
            "workers busy": round(busy, 3) if making.workers else "unknown",
            "num_workers": loader.num_workers,
        },
    )


def _left(model: LoaderModel | None, loader: LoaderFacts, seconds: float) -> Factor:
    """What remains of the hand-over's seconds: what its kind leaves, and more where the workers then set the pace."""
    if model is None or seconds <= 0:
        return LEFT
    remains = []
    for case in CASES:
        most_s = loader.wait_s - _supply_wait_s(model, case) * loader.batches
        saved_s = min(seconds * (1 - getattr(LEFT, case)), max(0.0, most_s))
        remains.append(1 - saved_s / seconds)
    return Factor(*sorted(remains))


def _supply_wait_s(model: LoaderModel, case: Case) -> float:
    """Mean wait for a batch that costs the usual hand-over."""
    alone = model.alone(case)
    count = min(model.length, SIMULATED)
    cpu, idle, consume = (np.resize(part, count) for part in (alone.cpu, alone.idle, alone.consume))
    times = simulate(cpu, idle, consume, model.recorded.settings, alone.cores, HandOver(TAKE_S))
    return float(times.wait.mean())


def _mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0


def hands_objects_over(loader: LoaderFacts) -> bool:
    """Whether batches come from workers as Python objects: then what is collected meanwhile is the hand-over's."""
    return loader.num_workers > 0 and loader.role == "training" and not loader.watched and _cause(loader) == "objects"


def _cause(loader: LoaderFacts) -> Cause | None:
    pickled, size, handles = loader.making.payload_bytes or 0.0, loader.making.batch_bytes or 0.0, _handles(loader)
    if handles > MANY and handles * HANDLE_BYTES > pickled / 2:
        return "tensors"
    objects = pickled - handles * HANDLE_BYTES
    if objects > max(PIPE_BYTES, OBJECTS_SHARE * size) or (not handles and objects > MANY * HANDLE_BYTES):
        return "objects"
    if handles > MANY:
        return "tensors"
    return "bytes" if size > LARGE_BYTES else None


def _handles(loader: LoaderFacts) -> float:
    """Tensors in a batch; by sizes where they were not counted."""
    making = loader.making
    if making.batch_tensors is not None:
        return making.batch_tensors
    pickled = making.payload_bytes or 0.0
    return pickled / HANDLE_BYTES if pickled < (making.batch_bytes or 0.0) / SMALL else 0.0


def _what(loader: LoaderFacts, cause: Cause) -> str:
    pickled, tensors = loader.making.payload_bytes or 0.0, loader.making.batch_bytes or 0.0
    if cause == "objects":
        return f"{pickled / 1e3:.0f} KB of pickled Python objects and {tensors / 1e3:.0f} KB of tensors"
    if cause == "tensors":
        return f"some {_handles(loader):.0f} tensors, each handed over by itself"
    return f"{tensors / 1e6:.0f} MB of tensors"


def _advice(loader: LoaderFacts, cause: Cause) -> str:
    if cause == "objects":
        return (
            "Return one tensor or array a field instead of lists and dictionaries of numbers: in the collate function, "
            "which runs in the worker, torch.from_numpy(np.stack([item[field] for item in items])); keep what the "
            "model does not need (names, paths) out of the batch."
        )
    if cause == "tensors":
        return (
            f"Put a batch into 1 tensor a field in the collate function, which runs in the worker: torch.stack(items), "
            f"or torch.cat with offsets where lengths differ; the loop can split them again. It is {loader.batch_size} "
            "items a batch now."
        )
    return (
        f"Hand over uint8 instead of float32, {(loader.making.batch_bytes or 0.0) / 4e6:.0f} MB a batch, and convert "
        "in the loop: batch.to(device).float().div_(255)."
    )


def _where(run: Evidence, loader: LoaderFacts, cause: Cause) -> list[Where]:
    """Where the loader is told how to collate, which objects and many tensors are mended by; else where it is made."""
    collate = _collate_site(run, loader) if cause != "bytes" else None
    found = run.source.find_class(loader.items_of)
    made = Site(found[0], found[1].lineno, found[1].name) if found is not None else None
    return place(*dict.fromkeys((collate or loader.where, made)))


def _collate_site(run: Evidence, loader: LoaderFacts) -> Site | None:
    """The line of `collate_fn=` in the call that makes the loader; None where it has none."""
    if loader.where is None:
        return None
    first, last = run.source.statement(loader.where)
    lines = (
        keyword.value.lineno
        for node in ast.walk(run.source.tree(loader.where.file))
        if isinstance(node, ast.Call) and first <= node.lineno <= last
        for keyword in node.keywords
        if keyword.arg == "collate_fn" and first <= keyword.value.lineno <= last
    )
    return next((Site(loader.where.file, line, loader.where.function) for line in lines), None)
