"""A value is read from the device in every step: .item(), float(loss), if tensor.

What it is: Python asks for a number that the device has yet to compute.

Why it is slow: the host waits until everything that is queued has run, and only then goes on to launch; meanwhile the
device has nothing to do.

How it is seen: synchronising calls inside aten::item, _local_scalar_dense or is_nonzero, and the idle time of the
device behind queues that ran dry in them. The recorded graph is replayed without these waits: what they hid behind
(copies, the device itself) stays.

Stays quiet when: fewer than one in two steps has one, or the device is idle for less than 3 % of the time behind them
(the host was not ahead anyway); GradScaler's own are scaler-clip-sync's.

Fix: keep sums on the device, and read them every so many steps.

    total += loss.detach()                      # no .item()
    if step % 100 == 0:
        print(total.item())

Sources: PyTorch Performance Tuning Guide (avoid unnecessary synchronisation); torchtune #522; LANfactory #120.
"""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Rule
from slowprobe.diagnose.rules._syncs import ITEM_OPS, in_scaler, judged
from slowprobe.timeline.device.syncs import SyncStat


def _is_mine(sync: SyncStat) -> bool:
    return sync.op in ITEM_OPS and not in_scaler(sync)


RULE = Rule(title="A value is read from the device in every step", bottleneck="sync", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Find the synchronisations of this kind that leave the device idle."""
    return judged(
        run,
        _is_mine,
        "reading a value from the device",
        Fix(
            text=(
                "Sum on the device (total += loss.detach()) and call .item() every 100 steps, when the value is "
                "printed."
            )
        ),
    )
