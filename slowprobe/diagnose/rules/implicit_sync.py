"""An operator whose result has no known size, or a copy to the host, stops the host in every step.

What it is: nonzero, masked_select, indexing with a boolean mask, unique, repeat_interleave without output_size, .cpu()
and .numpy(): the host must know how large the result is, or have it.

Why it is slow: as with .item(): the host waits for all that is queued, and the device then for the host.

How it is seen: synchronising calls inside such operators, and the idle time of the device behind them. The recorded
graph is replayed without these waits.

Stays quiet when: fewer than one in two steps has one, the device is idle for less than 3 % of the time behind them, or
a value was asked for by name (item-sync), or the waiting was asked for (explicit-sync).

Fix: masks by torch.where or multiplication instead of selecting; output_size= for repeat_interleave; results copied
with non_blocking=True into pinned memory and read a step later.

Sources: fairchem #2193 (276 of 348 reads removed, 1.18 times as fast); PyTorch notes on CUDA semantics.
"""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Rule
from slowprobe.diagnose.rules._syncs import ITEM_OPS, in_scaler, judged
from slowprobe.timeline.device.syncs import SyncStat


def _is_mine(sync: SyncStat) -> bool:
    return sync.op is not None and sync.op not in ITEM_OPS and not in_scaler(sync)


RULE = Rule(
    title="An operator whose result has no known size stops the host", bottleneck="sync", needs=("device", "replay")
)


def check(run: Evidence) -> Answer:
    """Find the synchronisations of this kind that leave the device idle."""
    return judged(
        run,
        _is_mine,
        "an operator that needs its result on the host",
        Fix(
            text=(
                "Replace selections by masks of a fixed size (torch.where, multiplication), give repeat_interleave "
                "its output_size, and copy results with non_blocking=True to read them a step later."
            )
        ),
    )
