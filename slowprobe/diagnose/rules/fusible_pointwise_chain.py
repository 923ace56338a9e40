"""Small pointwise kernels follow each other, each reading and writing all of memory.

What it is: activations, norms, residuals and dropout written as separate operators.

Why it is slow: each reads its input from memory and writes its output there; one fused kernel reads and writes once.

How it is seen: runs of three and more elementwise or normalization kernels, one after the other on their stream, and
the time they take. The recorded graph is replayed with all but the first of each run cheaper.

Saving: a stated range. A run of n leaves 1/n at best, 2/n is expected, 0.8 at worst.

Stays quiet when: such runs take less than 10 % of the time.

Fix: torch.compile(model), or the fused operator (F.rms_norm, F.layer_norm, nn.functional.silu with in-place).

Sources: PyTorch 2 paper (inductor's fusion); Ascend advisor (fusable operators).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slowprobe.diagnose.device_parts import on_device, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.timeline.device.classes import CLASSES
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import Factor

MIN_RUN = 3
MIN_SHARE = 0.10  # of the time
POINTWISE = tuple(CLASSES.index(each) for each in ("elementwise", "normalization"))

RULE = Rule(title="Pointwise kernels could be one", bottleneck="compute", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Find runs of pointwise kernels."""
    return on_device(run, _judge)


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed:
    inside, runs = _runs(facts)
    lengths = facts.rows.end_ns - facts.rows.start_ns
    taken = share(facts, int(lengths[inside].sum()))
    if taken < MIN_SHARE or not runs:
        return Passed(f"runs of {MIN_RUN} and more pointwise kernels take {taken:.1%} of the time")
    mean = float(inside.sum()) / runs
    left = Factor(1 / mean, min(0.8, 2 / mean), 0.8)
    return Diagnosis(
        summary=(
            f"{runs} runs of {mean:.1f} pointwise kernels take {taken:.0%} of the time; each reads and writes memory "
            f"anew."
        ),
        where=[],
        fix=Fix(text="torch.compile(model) makes one kernel of each run.", diff="+model = torch.compile(model)"),
        changes=[Faster(facts.rows.row[inside].tolist(), left)],
        basis="stated range",
        evidence={"of the time": round(taken, 4), "runs": runs, "kernels a run": round(mean, 1)},
    )


def _runs(facts: DeviceFacts) -> tuple[np.ndarray[Any, np.dtype[np.bool_]], int]:
    """Which rows lie in a run of pointwise kernels on their stream, and how many runs there are."""
    rows = facts.rows
    inside = np.zeros(len(rows), dtype=np.bool_)
    count = 0
    for stream in np.unique(rows.stream):
        mine = np.flatnonzero(rows.stream == stream)
        pointwise = np.isin(rows.class_id[mine], POINTWISE)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], pointwise, [False]]).astype(np.int8)))
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if end - begin >= MIN_RUN:
                inside[mine[begin:end]] = True
                count += 1
    return inside, count
