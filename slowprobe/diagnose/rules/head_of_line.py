"""The loop waits for a slow batch while later ones lie ready.

What it is: a DataLoader hands batches over in the order in which it asked for them; while one is late (a large image, a
long file), what other workers have made meanwhile stays in the queue.

Why it is slow: the loop stands still beside batches it could train on; and as no new work is dealt out until the late
batch is taken, the other workers soon stand still, too.

How it is seen: the time of making each batch and its place in the order, against the waits: seconds in which a later
batch was made already. The recorded batches are replayed with the order given up.

Stays quiet when: the steps wait for less than 5 % of loop time, less than half of the waiting is with a later batch
ready (prefetch-shallow), too little is made on average and the replay gains less than 5 % from another order
(workers-too-few), there is one worker, in_order is off already, or torch is older than 2.6.

Fix: DataLoader(..., in_order=False). It changes the order in which samples are seen, from run to run with the same
seed: where runs must be repeatable, put items of like cost into one batch instead, or raise prefetch_factor. Items that
are always late come late in every pass.

Sources: pytorch#141833 (in_order, torch 2.6); Lotus (out-of-order arrival as a main source of waits).
"""

from __future__ import annotations

import re

import numpy as np

from slowprobe.diagnose.edits import place, set_arguments
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import saved_share
from slowprobe.diagnose.rules._supply import HELD, MIN_WAIT, Supply, waited_for
from slowprobe.timeline.loop_changes import Reload

IN_ORDER_SINCE = (2, 6)  # the release of torch that has the argument

RULE = Rule(
    title="Finished batches wait behind a slow one",
    bottleneck="input",
    needs=("loaders", "partition", "replay", "settings", "source"),
    before=("workers-too-few", "slow-transform"),
)


def check(run: Evidence) -> Answer:
    """Find loaders whose order costs more than their work."""
    waiting = waited_for(run)
    if not isinstance(waiting, list):
        return waiting
    several = [supply for supply in waiting if supply.loader.num_workers > 1 and supply.loader.making.in_order]
    if not several:
        return NotApplicable("one worker, or in_order=False: no batch waits behind another")
    if _version(run.settings.get("torch")) < IN_ORDER_SINCE:
        return NotApplicable("this torch has no in_order: it came with 2.6")
    answers = [_judge(run, supply) for supply in several]
    found = [answer for answer in answers if isinstance(answer, Diagnosis)]
    return found or answers[0]


def _version(torch: object) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", str(torch))[:2]) or IN_ORDER_SINCE


def _judge(run: Evidence, supply: Supply) -> Diagnosis | Passed | NotChecked:
    held = supply.held_share
    if supply.uneven:
        return Passed("the workers' shards differ in size: see worker-imbalance")
    change = Reload(supply.loader.id, in_order=False)
    if not supply.suffices and saved_share(run, change) < MIN_WAIT:
        return Passed(
            f"{supply.loader.num_workers} workers make a batch every {supply.period_s * 1000:.1f} ms, too slowly for "
            f"steps of {supply.step_s * 1000:.1f} ms in any order"
        )
    if held is None:
        return NotChecked("the order in which batches were made was not recorded")
    if held < HELD:
        return Passed(f"a later batch was ready in {held:.0%} of the waiting only")
    return _diagnosis(run, supply, held, change)


def _diagnosis(run: Evidence, supply: Supply, held: float, change: Reload) -> Diagnosis:
    loader, make = supply.loader, supply.loader.fetch + supply.loader.collate
    median, longest = float(np.median(make)), float(make.max())
    return Diagnosis(
        summary=(
            f"The loop waits for {supply.wait_share:.0%} of its time; in {held:.0%} of that a later batch is ready. A "
            f"batch takes {median * 1000:.1f} ms to make, but some up to {longest * 1000:.0f} ms."
        ),
        where=place(loader.where),
        fix=Fix(
            text=(
                "Take batches as they are ready. Beware: the order of samples then differs from run to run with the "
                "same seed. Where runs must be repeatable, give each batch items of like cost, or raise "
                "prefetch_factor."
            ),
            diff=set_arguments(run.source, loader.where, loader.class_name, in_order="False"),
        ),
        changes=[change],
        evidence={
            "waiting, share of loop time": round(supply.wait_share, 4),
            "of it with a later batch ready": round(held, 4),
            "making one batch, median ms": round(median * 1000, 3),
            "making one batch, 95th percentile ms": round(float(np.percentile(make, 95)) * 1000, 3),
            "making one batch, longest ms": round(longest * 1000, 3),
            "a batch is made every, ms": round(supply.period_s * 1000, 3),
            "step without its wait, ms": round(supply.step_s * 1000, 3),
            "num_workers": loader.num_workers,
            "prefetch_factor": loader.prefetch_factor,
        },
    )
