"""A new iterator, or a new DataLoader, is made for every batch.

What it is: ``next(iter(loader))`` in the loop, or a DataLoader that is constructed at each step: every pass is given up
after its first batch.

Why it is slow: starting a pass is work. The sampler shuffles the indices of the whole dataset for one batch, and the
lists are freed again; with workers, processes are started and ended for each batch, and what they prefetched is thrown
away. Besides, batches are then drawn with replacement: some samples come up often, some never.

How it is seen: passes over the loader that have more batches and end after one. What they cost is the time of
DataLoader.__iter__, the wait outside the dataset (with workers: all of the wait, for nothing can be prefetched), and
the sampled time in which iterators are ended. The fix is replayed: a pass is started only when the one before is used
up; with workers the wait is simulated with a queue that is kept. Without workers the step itself is shorter, too, as
far as a stand-in measured after the run takes longer after a pause of that length: its data is still in the caches.

Stays quiet when: there were fewer than ten such passes (a batch to look at, sanity checks), the loader has a single
batch, or all this takes less than 1 % of loop time.

Fix: one iterator before the loop, next() on it inside.

Sources: PyTorch documentation (DataLoader.__iter__ makes a new iterator, with workers new processes); PyTorch forum
threads on next(iter(loader)) in the loop.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from slowprobe.diagnose.edits import place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import sampled_lines, scale_lines
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.diagnose.rules._one_iterator import one_iterator
from slowprobe.diagnose.rules._supply import given_up, ratio, scaled
from slowprobe.run.record import Site
from slowprobe.timeline.hotspots import LineTime
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import GONE, Change, Scale
from slowprobe.timeline.pauses import pauses_of
from slowprobe.timeline.pipeline import Settings, simulate
from slowprobe.timeline.replay import RESUMED
from slowprobe.timeline.sharing import Cores
from slowprobe.timeline.uncontended import CASES, HAND_OVER_S, SIMULATED, Case, hand_over

MIN_SHARE = 0.01  # of loop time; below, it is within the noise of the steps
REQUEST_S = {"best": 0.00001, "expected": 0.00003, "worst": 0.0002}  # measured 20-50 µs: the sampler, and Python
_ENDS = ("__del__", "_remove", "_shutdown_workers")  # of iterators and their sets: below a line that drops one
_STARTS = ("DataLoader.__iter__", "_BaseDataLoaderIter.__next__", "DataLoader.__init__", "__iter__", "__next__")

RULE = Rule(
    title="A new iterator is made for every batch",
    bottleneck="input",
    needs=("loaders", "partition", "lines", "source", "cores_per_rank", "costs"),
    closer_than=("python-bound",),  # what ends an iterator is no span: Python code on the same line
)


def check(run: Evidence) -> Answer:
    """Find loaders whose passes are given up after a batch."""
    training = [loader for loader in run.loaders if loader.role == "training" and not loader.watched]
    if not training:
        return NotApplicable("no DataLoader feeds the training")
    found = [_judge(run, loader) for loader in training if given_up(run.partition, loader)]
    diagnoses = [diagnosis for diagnosis in found if diagnosis is not None]
    if diagnoses:
        return diagnoses
    if found:
        return Passed(f"each batch has an iterator of its own, but that takes less than {MIN_SHARE:.0%} of loop time")
    fewest = min(loader.batches / max(loader.passes, 1) for loader in training)
    return Passed(f"a pass is {fewest:.1f} batches or more, or there were few, or the loader holds no more")


def _judge(run: Evidence, loader: LoaderFacts) -> Diagnosis | None:
    split = run.partition
    ending = _ending(run, loader)
    ending_s = sum(line.seconds for line in ending)
    starting = scaled(split, "loader_start", loader, _kept(loader))
    asking_s = sum(change.seconds for change in scaled(split, "data_wait", loader, GONE))
    per_batch = ratio([_wait_s(run, loader, case, ending_s) * loader.batches for case in CASES], asking_s)
    asking = scaled(split, "data_wait", loader, per_batch)
    changes: list[Change] = [*starting, *asking, *scale_lines(ending, _kept(loader))]
    starting_s = sum(change.seconds for change in starting)
    if not loader.num_workers:
        changes += _resumed(run, (starting_s + asking_s + ending_s) / max(loader.batches, 1), loader, ending_s)
    spent = starting_s + asking_s * (1 - per_batch.expected) + ending_s
    if spent < MIN_SHARE * split.loop_s:
        return None
    site = _request(run, loader)
    each = 1000 / max(loader.batches, 1)
    endless = loader.length is None or loader.batches > loader.length
    text, edit = one_iterator(run.source, site, endless)
    return Diagnosis(
        summary=(
            f"{loader.passes} passes are begun for {loader.batches} batches: each is given up after one. Beginning and "
            f"ending them takes {spent * each:.1f} ms a batch, {spent / split.loop_s:.0%} of loop time."
        ),
        where=place(site, loader.where if site != loader.where else None),
        fix=Fix(text=text, diff=edit),
        changes=changes,
        evidence={
            "passes begun": loader.passes,
            "batches": loader.batches,
            "batches in a whole pass": "unknown" if loader.length is None else loader.length,
            "num_workers": loader.num_workers,
            "starting iterators, ms a batch": round(starting_s * each, 3),
            "waiting outside the dataset, ms a batch": round(asking_s * each, 3),
            "ending iterators, ms a batch": round(ending_s * each, 3),
            "share of loop time": round(spent / split.loop_s, 4),
        },
    )


def _kept(loader: LoaderFacts) -> Any:
    """What remains of starting and ending passes: those that really come to an end, and the first."""
    needed = 1 if loader.length is None else math.ceil(loader.batches / loader.length)
    left = needed / loader.passes
    return ratio([left, left, max(left, GONE.worst)], 1.0)


def _wait_s(run: Evidence, loader: LoaderFacts, case: Case, ending_s: float) -> float:
    """Seconds a batch from the request to the batch, the dataset's own time apart, with an iterator that is kept."""
    if not loader.num_workers:
        shuffles = _kept(loader).expected * loader.wait_s / max(loader.batches, 1)
        return REQUEST_S[case] + float(shuffles)
    if not loader.make_s:
        return loader.wait_s / max(loader.batches, 1) if case == "worst" else HAND_OVER_S
    count = min(loader.length or SIMULATED, max(loader.batches, 1), SIMULATED)
    make = np.resize(loader.fetch + loader.collate, count)
    step_s = max(0.0, _step_s(run, loader) - ending_s / max(loader.batches, 1))
    times = simulate(
        make * loader.cpu_share,
        make * (1 - loader.cpu_share),
        np.full(count, step_s),
        Settings(loader.num_workers, loader.prefetch_factor, loader.making.in_order),
        Cores(run.cores_per_rank, 1.0, 1),
        hand_over(HAND_OVER_S, case, True),
    )
    return float(times.wait.mean())


def _resumed(run: Evidence, pause_s: float, loader: LoaderFacts, ending_s: float) -> list[Change]:
    """Steps that follow one another instead of pauses of `pause_s`."""
    step_s = max(0.0, _step_s(run, loader) - ending_s / max(loader.batches, 1))
    after_s = float(pauses_of(run.costs).without(np.array([step_s]), pause_s)[0])
    if step_s <= 0 or after_s >= step_s:
        return []
    factor = ratio([after_s, after_s, step_s], step_s)
    parts = {bucket: run.partition.bucket_s(bucket, "step") for bucket in RESUMED}
    parts["python"] = run.partition.bucket_s("python", "step") - ending_s
    return [Scale(bucket, "step", seconds, factor) for bucket, seconds in parts.items() if seconds > 0]


def _step_s(run: Evidence, loader: LoaderFacts) -> float:
    """Seconds of a step outside its loader; from the whole, for a pass of one batch has no next request."""
    waits = sum(change.seconds for change in scaled(run.partition, "data_wait", loader, GONE))
    return max(0.0, float(run.partition.scope_s("step")) - waits) / max(loader.batches, 1)


def _below(run: Evidence, kinds: tuple[str, ...], buckets: tuple[str, ...]) -> list[LineTime]:
    lines = [line for line in sampled_lines(run) if line.bucket in buckets]
    return [line for line in lines if line.callee.endswith(kinds) and line.scope in ("step", "off_step")]


def _request(run: Evidence, loader: LoaderFacts) -> Site | None:
    """The user's line that asks for a new iterator, by the samples in it; else where the loader is made."""
    asking = _below(run, _STARTS, ("epoch", "data_wait"))
    best = max(asking, key=lambda line: line.seconds, default=None)
    return loader.where if best is None else Site(best.file, best.line, best.function)


def _ending(run: Evidence, loader: LoaderFacts) -> list[LineTime]:
    """Samples in which the line that asks for batches drops the iterator before: it is in no span."""
    site = _request(run, loader)
    lines = _below(run, _ENDS, ("python",))
    return [line for line in lines if site is not None and (line.file, line.line) == (site.file, site.line)]
