"""Gradient scaling or clipping asks the device whether all went well, and waits for the answer.

What it is: GradScaler reads found_inf in each step to decide whether to step; clip_grad_norm_ with
error_if_nonfinite=True, and branches on isfinite().all(), read a flag, too.

Why it is slow: as with .item(): the host waits for backward to end, in the middle of each step.

How it is seen: synchronising calls below grad_scaler.py or clip_grad.py (with stacks), or in its operators, and the
idle time of the device behind them. The recorded graph is replayed without them.

Stays quiet when: fewer than one in two steps has one, or the device is idle for less than 3 % of the time behind them.

Fix: bfloat16 needs no scaler; a fused optimizer takes the scaler's flag on the device and does not wait.

    optimizer = torch.optim.AdamW(parameters, lr=lr, fused=True)

Sources: PyTorch AMP examples; torch.optim documentation (fused); NVIDIA Apex notes on found_inf.
"""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Rule
from slowprobe.diagnose.rules._syncs import in_scaler, judged
from slowprobe.timeline.device.syncs import SyncStat


def _is_mine(sync: SyncStat) -> bool:
    return in_scaler(sync)


RULE = Rule(title="Gradient scaling or clipping waits for the device", bottleneck="sync", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Find the synchronisations of this kind that leave the device idle."""
    return judged(
        run,
        _is_mine,
        "gradient scaling or clipping that waits",
        Fix(
            text=(
                "Use bfloat16, which needs no GradScaler, or a fused optimizer (fused=True), which reads the flag "
                "on the device."
            )
        ),
    )
