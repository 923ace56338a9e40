"""The script waits for the device in every step: torch.cuda.synchronize(), a barrier, timing code.

What it is: a call whose only purpose is to wait.

Why it is slow: the host cannot launch ahead; the device is idle from the end of one step's work to the first launch of
the next.

How it is seen: synchronising calls outside of any operator, and the idle time of the device behind them. The recorded
graph is replayed without them.

Stays quiet when: fewer than one in two steps has one, or the device is idle for less than 3 % of the time behind them.

Fix: take it out; time with CUDA events, which are read later.

    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

Sources: PyTorch notes on CUDA semantics (asynchronous execution); Nsight Systems (cuda_api_sync).
"""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Rule
from slowprobe.diagnose.rules._syncs import in_scaler, judged
from slowprobe.timeline.device.syncs import SyncStat


def _is_mine(sync: SyncStat) -> bool:
    return sync.op is None and not in_scaler(sync)


RULE = Rule(title="The script waits for the device in every step", bottleneck="sync", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Find the synchronisations of this kind that leave the device idle."""
    return judged(
        run,
        _is_mine,
        "a call that only waits",
        Fix(
            text=(
                "Take the synchronisation out of the step; to time, record torch.cuda.Event(enable_timing=True) and "
                "read it when logging."
            )
        ),
    )
