"""The loop stands still while checkpoints are written.

What it is: torch.save (or dcp.save, safetensors) inside the training loop, so often that it takes a visible part of it.

Why it is slow: serialising and writing the whole state runs on the training thread; nothing is trained meanwhile. What
prepares the file (deepcopy, state_dict, moving tensors) and finishes it (fsync, rename) is waited for as well.

How it is seen: spans around the save calls inside the loop; stack samples of the helper function they are in, or of
statements beside them that copy, synchronise or rename. Calls with no training step between them write one checkpoint
(model, optimizer, scheduler). The fix is replayed: the same checkpoints, N steps apart, with N such that they cost
1.5 % of loop time.

Stays quiet when: checkpoints take less than 3 % of loop time, or are written after the loop.

Fix: if step % N == 0: around the call; torch.distributed.checkpoint.async_save or a thread that writes a copy, where
every checkpoint is needed.

Sources: PyTorch, asynchronous saving with Distributed Checkpoint; Lightning ModelCheckpoint(every_n_train_steps).
"""

from __future__ import annotations

import math
from collections import defaultdict

from slowprobe.diagnose.edit_site import edits_first
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.hot_lines import editable, scale_lines, shares
from slowprobe.diagnose.intervals import times_rarer
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, Passed, Rule
from slowprobe.diagnose.rules._saving import lines_of_saves, saves_in_loop, seconds_of
from slowprobe.diagnose.turns import rarer
from slowprobe.run.record import Site
from slowprobe.timeline.loop_changes import Factor, Scale

MIN_SHARE = 0.03  # of loop time; an interval that costs less is a fair price for not losing work
TARGET_SHARE = 0.015  # of loop time, what the recommended interval leaves: the middle of 1-2 %
MAIN_PART = 0.2  # of the checkpoints' time: a line with less does not set how often there is one
WRITE_VARIES = 2.0  # assumed, not measured: a rarer write may find the page cache full and wait for the disk

RULE = Rule(
    title="Checkpoints block the loop",
    bottleneck="checkpoint",
    needs=("steps", "saves", "backwards", "lines", "partition", "source"),
    closer_than=("step-outliers",),
)


def check(run: Evidence) -> Answer:
    """Weigh checkpoints against training."""
    saves = saves_in_loop(run)
    if not saves:
        return NotApplicable("no checkpoint is written inside the training loop")
    lines = lines_of_saves(run)
    seconds: dict[Site, float] = defaultdict(float)
    for facts in saves:
        seconds[facts.where or Site("", 0, "")] += seconds_of(facts)
    for line in lines:
        seconds[line.site] += line.seconds
    spent, loop_s = sum(seconds.values()), run.partition.loop_s
    if spent < MIN_SHARE * loop_s:
        return Passed(f"checkpoints take {spent / loop_s:.1%} of loop time")
    saving = sum(map(seconds_of, saves))
    count = max(facts.occasions for facts in saves if seconds_of(facts) >= MAIN_PART * saving)
    steps_between = run.steps.count / count
    times = times_rarer(spent, loop_s - spent, TARGET_SHARE)
    if times < 2:
        return Passed(f"checkpoints are {steps_between:.0f} steps apart, which is far enough")
    interval = round(times * steps_between)
    remaining = min(1.0, math.ceil(count / times) / count)
    factor = Factor(remaining, remaining, min(1.0, remaining * WRITE_VARIES))
    how_often = "every step" if 0.9 <= steps_between <= 1.1 else f"every {steps_between:.3g} steps"
    lost_s = interval * (loop_s - spent) / run.steps.count
    risk = f", and a crash at most {lost_s:.0f} s of work" if lost_s >= 1 else ""
    return Diagnosis(
        summary=(
            f"A checkpoint of {spent / count * 1000:.0f} ms is written {how_often}: {spent / loop_s:.0%} of loop time. "
            f"Every {interval} steps would cost at most {TARGET_SHARE:.1%}{risk}."
        ),
        where=edits_first(run.source, shares(seconds), droppable=True),
        fix=Fix(
            text=(
                f"Write a checkpoint every {interval} steps. If all of them are needed, write them in the background: "
                "torch.distributed.checkpoint.async_save, or a thread that saves a copy."
            ),
            diff=rarer(run.source, editable(run, [saves[0].where]), times),
        ),
        changes=[
            *(Scale("checkpoint", "off_step", seconds_of(facts), factor) for facts in saves),
            *scale_lines(lines, factor),
        ],
        evidence={
            "checkpoints": count,
            "steps between two": round(steps_between, 2),
            "one checkpoint, ms": round(spent / count * 1000, 2),
            "of it in the save call, ms": round(saving / count * 1000, 2),
            "longest save call, ms": round(max(facts.longest_s for facts in saves) * 1000, 2),
            "share of loop time": round(spent / loop_s, 4),
            "recommended steps between two": interval,
        },
    )
