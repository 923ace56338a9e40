"""What a kind of call takes of making a loader's batches, at which of the user's lines, and who mends it first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Where
from slowprobe.diagnose.hot_lines import shares
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed
from slowprobe.diagnose.rules._batch_cost import candidates, saved_share, saved_share_beside_workers
from slowprobe.diagnose.tokenizer_calls import tokenized_at
from slowprobe.run.record import Site
from slowprobe.timeline.batch_costs import pass_of_batches
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Factor, Reload
from slowprobe.timeline.making_stacks import StackTime
from slowprobe.timeline.recording import Ints

MIN_SAMPLES = 10  # a tenth of a second
MIN_SAVING = 0.05  # of loop time, beside what workers would save: medium severity
MIN_LEFT = 0.5  # of what the edit would save alone; where workers win back more, their number is the cause
SWITCHED_S = 0.001  # waited when a core is taken away, at least: Linux gives the others slices of 0.7 to 4 ms
MIN_COLLATE_S = 0.05  # of collating, for its CPU share to be more than chance: a dozen slices

Chosen = Callable[[StackTime], bool]


@dataclass(frozen=True)
class Part:
    """Some of the calls below a dataset or a collate function. Shares are of that bucket's seconds."""

    bucket: str
    share: float = 0.0
    lines: dict[Site, float] = field(default_factory=dict)
    samples: int = 0
    waiting: float = 0.0
    """The part of their time off the CPU."""
    inner: tuple[Site, ...] = ()
    """The innermost lines of the user's, where others stand for them in `lines`."""
    callee: str = ""
    """The library function most often found directly below the lines."""

    @property
    def where(self) -> list[Where]:
        """The lines, most seconds first."""
        return shares(dict(sorted(self.lines.items(), key=lambda entry: -entry[1])[:5]))

    @property
    def site(self) -> Site | None:
        """The line with most seconds."""
        return max(self.lines, key=lambda site: self.lines[site]) if self.lines else None


def examined(run: Evidence, diagnose: Callable[[Any, LoaderFacts], Diagnosis | Passed | NotChecked]) -> Answer:
    """What `diagnose` says of the training loaders that are known; of several reasons the first."""
    if not run.loaders:
        return NotApplicable("there is no DataLoader")
    seen = candidates(run)
    if not seen:
        return NotChecked("how batches are made was not recorded")
    answers = [diagnose(run, loader) for loader in seen]
    found = [answer for answer in answers if isinstance(answer, Diagnosis)]
    return found or next(answer for answer in answers if not isinstance(answer, Diagnosis))


def part_of(run: Evidence, loader: LoaderFacts, bucket: str, chosen: Chosen) -> Part:
    """The stacks that are `chosen`, by the user's lines; where a dataset is a library's, by that of the loader.

    Its share is of what was sampled: workers are, for a quarter of the time only.
    """
    stacks = [stack for stack in run.making_stacks.get(loader.id, ()) if stack.bucket == bucket]
    whole = sum(stack.seconds for stack in stacks)
    mine = [stack for stack in stacks if chosen(stack)]
    seconds = sum(stack.seconds for stack in mine)
    if seconds <= 0 or whole <= 0:
        return Part(bucket)
    lines: dict[Site, float] = defaultdict(float)
    callees: dict[str, float] = defaultdict(float)
    for stack in mine:
        site = tokenized_at(run.source, stack) or item_site(stack) or loader.where
        if site is not None:
            lines[site] += stack.seconds
        if stack.below:
            callees[stack.below[0].function] += stack.seconds
    return Part(
        bucket,
        min(1.0, seconds / whole),
        dict(lines),
        sum(stack.samples for stack in mine),
        max(0.0, 1 - sum(stack.cpu_s for stack in mine) / seconds),
        tuple({site for stack in mine if (site := stack.site) is not None and item_site(stack)}),
        max(callees, key=lambda name: callees[name]) if callees else "",
    )


def item_site(stack: StackTime) -> Site | None:
    """The user's line below the dataset; None where the dataset is a library's, called from the loop's own line."""
    return None if any("/torch/utils/data/" in frame.file for frame in stack.below) else stack.site


def of_batch(loader: LoaderFacts, part: Part) -> float:
    """The part's share of making a batch."""
    mean = float((loader.fetch if part.bucket == "fetch" else loader.collate).mean())
    return part.share * mean / loader.make_s if loader.make_s else 0.0


def cheaper(loader: LoaderFacts, part: Part, remains: Factor) -> Reload:
    """The loader with this of the part left."""
    left = remains.of_part(part.share)
    return Reload(loader.id, fetch=left) if part.bucket == "fetch" else Reload(loader.id, collate=left)


def better_workers(run: Evidence, loader: LoaderFacts) -> int:
    """The number of workers that the curve recommends where it is more than there are, else what there are."""
    curve = run.input_curves.get(loader.id)
    return max(loader.num_workers, curve.recommended) if curve is not None else loader.num_workers


def hardly_waits(run: Evidence, change: Reload) -> str:
    """Why nothing is to be said of a change that removes work: the loop gains little from it. Empty: it counts."""
    alone = saved_share(run, change)
    return "" if alone >= MIN_SAVING else f"the loop hardly waits for it: without it, it would gain {alone:.1%}"


def passes_for(run: Evidence, loader: LoaderFacts, change: Reload) -> str:
    """The same of a change that not every loop can have, or only for a price: workers may win most of it, too."""
    reason = hardly_waits(run, change)
    if reason:
        return reason
    if saved_share_beside_workers(run, loader, change) < max(MIN_SAVING, MIN_LEFT * saved_share(run, change)):
        rule = "workers-too-few" if loader.num_workers else "workers-zero"
        workers = better_workers(run, loader)
        return f"{workers} worker{'s' if workers != 1 else ''} would hide most of it (see {rule})"
    return ""


def storage_wait(loader: LoaderFacts) -> float | None:
    """Share of the dataset's time off the CPU that was not spent waiting for a core; None where it was not read.

    Waiting for a core is what the kernel counted. Where it does not count: as collate, which only computes, was
    stretched by it; at least a slice for each time that a core was taken away.
    """
    making, fetch_s = loader.making, loader.fetch_s
    if making.io_wait_s is None or not fetch_s:
        return None
    if making.run_delay_s is not None:
        return max(0.0, min(1.0, (making.io_wait_s - making.run_delay_s) / fetch_s))
    switched_s = sum(worker.involuntary_switches or 0 for worker in making.workers) * SWITCHED_S
    on_cpu = making.collate_cpu_share
    known = on_cpu is not None and (loader.collate_s or 0.0) >= MIN_COLLATE_S
    stretched_s = (fetch_s - making.io_wait_s) * (1 / max(on_cpu, 0.01) - 1) if known and on_cpu is not None else 0.0
    return max(0.0, min(1.0, (making.io_wait_s - max(switched_s, stretched_s)) / fetch_s))


def file_wait(loader: LoaderFacts, part: Part) -> float:
    """The part's time off the CPU, at most what the whole dataset waits for other things than a core."""
    waits = storage_wait(loader)
    return part.waiting if waits is None or not part.share else min(part.waiting, waits / part.share)


def budget_ms(run: Evidence, loader: LoaderFacts) -> float | None:
    """Milliseconds that an item may take for the batches to keep up with the steps; None where that is unknown."""
    steps = loader.consume[~np.isnan(loader.consume)]
    if not loader.batch_size or not len(steps):
        return None
    return float(steps.mean()) * 1000 * max(1, loader.num_workers) / loader.batch_size


def item_ms(loader: LoaderFacts, share: float) -> float | None:
    """Milliseconds of one item that this share of the dataset's time is; None without a batch size."""
    return share * float(loader.fetch.mean()) * 1000 / loader.batch_size if loader.batch_size else None


def pass_bytes(loader: LoaderFacts) -> float | None:
    """What one pass reads, from memory or storage; None where it was not read."""
    per_batch = loader.making.rchar_per_batch
    return None if per_batch is None else per_batch * loader.batches / max(1, loader.passes)


def warm_ratio(loader: LoaderFacts) -> float | None:
    """Mean seconds of fetching in the first pass over those in later passes; None for a single pass."""
    passes = _passes(loader)
    if passes is None or not (passes > 0).any() or not (passes == 0).any():
        return None
    later = float(loader.fetch[passes > 0].mean())
    return float(loader.fetch[passes == 0].mean()) / later if later > 0 else None


def _passes(loader: LoaderFacts) -> Ints | None:
    """The pass of each recorded batch, from 0."""
    if not loader.num_workers:
        return np.cumsum(loader.first)[: len(loader.fetch)] - 1 if len(loader.first) == len(loader.fetch) else None
    return pass_of_batches(loader.making) if len(loader.making.index) == len(loader.fetch) else None
