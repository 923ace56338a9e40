"""What the operators of a CPU loop reach, and what may still be won where nothing is wrong."""

from __future__ import annotations

from slowprobe.diagnose.evidence import Evidence, EvidenceMissing
from slowprobe.diagnose.rules._layers import SIXTEEN, edits, shape
from slowprobe.report import document as doc
from slowprobe.report.quantities import factor, figures, percent
from slowprobe.timeline.kernel_work import KernelWork
from slowprobe.timeline.ops import OpWindow

MIN_SHARE = 0.3  # of a step: with less, the rate of products says little about the loop
GOOD = 0.5  # of the best rate; below, the reader wants to know why
AS_SLOW = 0.7  # of the time in the loop; a trial's caches are warmer
SURE = 0.5  # of the products' time was tried after the run
FUSIBLE = ("elementwise", "normalisation", "reduction", "loss", "random")
FUSED_LEFT = (0.3, 1.0)  # what torch.compile leaves of them: one pass over memory for some three, or nothing gained
MOST_ROWS = 8


def reach(evidence: Evidence) -> doc.Reach | None:
    """Rates and what remains; None where products take too little of a step, or nothing is known of them."""
    try:
        work = evidence.kernels
        ops = evidence.ops
    except EvidenceMissing:
        return None
    if work is None or work.share < MIN_SHARE:
        return _starting(ops)
    left = edits(work, evidence.costs)
    return doc.Reach(
        share=round(work.share, 4),
        gflops=round(work.gflops, 2),
        reach_gflops=None if work.reach_gflops is None else round(work.reach_gflops, 2),
        text=_sentence(work),
        layers=_rows(work),
        remains=[
            line
            for line in (
                _precision(work, left.bf16, str(evidence.host.get("cpu_bf16") or "")),
                _layout(work, left.channels_last),
                _fusion(ops),
                _batch(work, ops),
                _threads(evidence),
            )
            if line
        ],
    )


def _starting(ops: OpWindow) -> doc.Reach | None:
    """A loop whose time goes into starting operators: no rate would say anything, but a larger batch would help."""
    if ops.bound != "dispatch-bound":
        return None
    fixed = ops.shares.dispatch + ops.shares.launch_gap
    return doc.Reach(
        share=0.0,
        gflops=0.0,
        reach_gflops=None,
        text=f"{percent(fixed)} of a step is the fixed cost of starting {ops.launches_per_step:.0f} operators.",
        layers=[],
        remains=[line for line in (_batch(None, ops), _fusion(ops)) if line],
    )


def _sentence(work: KernelWork) -> str:
    text = f"{percent(work.share)} of a step is matrix products and convolutions, at {figures(work.gflops, 2)} GFLOP/s"
    if work.reach_gflops is None:
        return f"{text}."
    part = min(1.0, work.gflops / work.reach_gflops)
    return f"{text}: {percent(part)} of the {figures(work.reach_gflops, 2)} that these threads reach.{_why(work, part)}"


def _why(work: KernelWork, part: float) -> str:
    """What a low rate is due to."""
    alone = work.alone
    if part >= GOOD or alone is None or work.tried_share < SURE:
        return ""
    if alone >= AS_SLOW:
        return " Their shapes allow no more: alone they are as slow."
    return f" Alone they take {percent(alone)} of their time: in the loop they share caches, memory or cores."


def _rows(work: KernelWork) -> list[doc.ReachLayer]:
    return [
        doc.ReachLayer(
            name=f"{'Convolution' if layer.kernel.is_convolution else 'Product'} {shape(layer)}",
            ms_per_step=round(layer.ms, 4),
            gflops=round(layer.gflops, 2),
            alone_gflops=_rounded(layer.trial.gflops if layer.trial is not None else None),
            bf16=_rounded(layer.trial.bf16 if layer.trial is not None else None),
            channels_last=_rounded(layer.trial.channels_last if layer.trial is not None else None),
        )
        for layer in work.layers[:MOST_ROWS]
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _loop(share: float, left: float) -> str:
    """A step of which `left` of a `share` remains."""
    return f"a step {factor(1 / max(1e-3, 1 - share * (1 - left)))} as fast"


def _precision(work: KernelWork, left: float, instructions: str) -> str:
    if any(layer.kernel.dtype in SIXTEEN for layer in work.layers):
        return "Precision: the products are in 16 bits already."
    if not instructions:
        return "Precision: this CPU has no instructions for bfloat16."
    if work.tried_share < SURE:
        return f"Precision: the CPU has {instructions}, but bfloat16 was not tried on these shapes."
    if left >= 1:
        return f"Precision: bfloat16 ({instructions}) gains nothing on these shapes (measured)."
    gain = _loop(work.share, left)
    return f"Precision: bfloat16 ({instructions}) leaves {percent(left)} of their time (measured): {gain}."


def _layout(work: KernelWork, left: float) -> str:
    mine = [layer for layer in work.layers if layer.kernel.is_convolution and len(layer.kernel.left) == 4]
    if not mine:
        return ""
    if all(layer.kernel.channels_last for layer in mine):
        return "Layout: convolutions are in channels_last already."
    if work.tried_share < SURE:
        return ""
    if left >= 1:
        return "Layout: channels_last gains nothing on these shapes (measured)."
    return f"Layout: channels_last leaves {percent(left)} of their time (measured): {_loop(work.share, left)}."


def _fusion(ops: OpWindow) -> str:
    step_ms = ops.step_ms or 1.0
    if any(stat.op_class == "compiled" for stat in ops.classes):
        return ""
    share = min(1.0, sum(stat.self_ms for stat in ops.classes if stat.op_class in FUSIBLE) / step_ms)
    best, worst = (1 / (1 - share * (1 - left)) for left in FUSED_LEFT)
    return (
        f"torch.compile: {percent(share)} of a step is elementwise work, normalisation and reductions, which it can "
        f"fuse: {factor(worst)} to {factor(best)} (stated range)."
    )


def _batch(work: KernelWork | None, ops: OpWindow) -> str:
    optimizer = sum(stat.self_ms for stat in ops.classes if stat.op_class == "optimizer") / (ops.step_ms or 1.0)
    fixed = min(1.0, ops.shares.dispatch + ops.shares.launch_gap + optimizer)
    text = (
        f"Batch size: starting operators and the optimizer take {percent(fixed)} of a step, and half as much a sample "
        f"in batches of twice the size: {factor(1 / (1 - fixed / 2))} at best"
    )
    left = work.twice if work is not None else None
    if left is None:
        return f"{text} (stated range)."
    return f"{text}; a sample's products take {percent(left)} of their time then (measured)."


def _threads(evidence: Evidence) -> str:
    threads = int(evidence.settings.get("num_threads") or 1)
    if threads >= int(evidence.cores_per_rank):
        return ""
    return f"Threads: operators run on {threads}, and this process may use {evidence.cores_per_rank:.0f} cores."
