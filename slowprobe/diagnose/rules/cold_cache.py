"""The first pass reads the data from storage, later ones from memory, and the first is a long wait.

What it is: files that nobody read lately. The operating system keeps what was read in memory it has to spare, so only
the first epoch after a boot, on a new node or in a new container waits for the disk or the network.

Why it is slow: workers read one item after the other, a few at a time; storage that is far away answers many requests
at once as fast as one.

How it is seen: batches of the first pass take at least three times as long as those of later passes, mostly waiting,
and bytes came from storage. What the first pass takes longer is replayed as shorter.

Saving: a stated range. Reading ahead with many processes leaves 0.1 of it where storage answers them all at once, 0.5
is expected, and all of it remains where one reader already takes what the storage gives.

Stays quiet when: the passes cost alike, the first one takes less than 10 s or 1 % of loop time longer (it comes once,
however long the training), or there was only one pass.

Fix: read the files once, in parallel, before training starts; on a new node copy them to its local disk.

    find data -type f -print0 | xargs -0 -P 16 -n 64 cat > /dev/null

Sources: DS-Analyzer (cold and warm runs); gpuprof (cold_cache).
"""

from __future__ import annotations

import numpy as np

from slowprobe.diagnose.edits import place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.making_parts import examined, part_of, warm_ratio
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.timeline.loaders import LoaderFacts
from slowprobe.timeline.loop_changes import Change, Factor, Scale

COLD = 3.0  # first pass over later ones: memory answers 10 to 1000 times as fast as storage, so 3 is no noise
ONCE_S = 10.0  # it comes once: a large share of a short trial is nothing of a long training
MIN_SHARE = 0.01  # of loop time
MIN_STORED = 4096  # bytes a batch from storage: a page; without any, something else was slow in the first pass
REMAINING = Factor(0.1, 0.5, 1.0)  # see "Saving" above

RULE = Rule(
    title="The first pass waits for storage",
    bottleneck="input",
    needs=("loaders", "making_stacks", "partition", "source"),
)


def check(run: Evidence) -> Answer:
    """Find loaders whose first pass is much dearer than the others."""
    return examined(run, _diagnose)


def _diagnose(run: Evidence, loader: LoaderFacts) -> Diagnosis | Passed | NotChecked:
    ratio = warm_ratio(loader)
    if ratio is None:
        return NotChecked("there was one pass, or batches were not recorded by pass")
    if ratio < COLD:
        return Passed(f"a batch of the first pass takes {ratio:.1f} times as long as one of the later passes")
    stored = loader.making.read_bytes_per_batch
    if stored is not None and stored < MIN_STORED:
        return Passed(f"the first pass takes {ratio:.1f} times as long, but hardly a byte came from storage")
    longer_s = _longer_s(loader)
    if longer_s < ONCE_S or longer_s < MIN_SHARE * run.partition.loop_s:
        return Passed(f"the first pass waits {longer_s:.1f} s longer than the others, once a training")
    bucket = "data_wait" if loader.num_workers else "fetch"
    change: Change = Scale(bucket, "step", longer_s, REMAINING)
    return Diagnosis(
        summary=(
            f"In the first pass a batch takes {ratio:.1f} times as long as later, and the loop waits {longer_s:.0f} s "
            "longer for its data."
        ),
        where=part_of(run, loader, "fetch", lambda stack: stack.site is not None).where or place(loader.where),
        fix=Fix(
            text=(
                "Read the files once, with many processes, before training starts: "
                "find DATA -type f -print0 | xargs -0 -P 16 -n 64 cat > /dev/null."
            )
        ),
        changes=[change],
        basis="stated range",
        evidence={
            "first pass over later ones": round(ratio, 2),
            "longer waits of the first pass, s": round(longer_s, 2),
            "bytes from storage, a batch": "not read" if stored is None else round(stored),
            "num_workers": loader.num_workers,
        },
    )


def _longer_s(loader: LoaderFacts) -> float:
    """How much longer the loop waited for the first pass than for as many batches of the later ones."""
    passes = np.cumsum(loader.first) - 1
    later = loader.wait[passes > 0]
    if not len(later):
        return 0.0
    first = loader.wait[passes == 0]
    return max(0.0, float(first.sum()) - len(first) * float(later.mean()))
