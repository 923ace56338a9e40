"""Attention is computed in pieces: scores, mask, softmax, dropout and product each through memory.

What it is: matmul, softmax and matmul written out, or scaled_dot_product_attention that fell back to them.

Why it is slow: the matrix of scores, as large as the sequence squared, is written and read again for each piece; a
fused kernel keeps it on the chip.

How it is seen: softmax kernels beside batched matrix products, and the time of both, without any fused attention
kernel; or the operator _scaled_dot_product_attention_math. The recorded graph is replayed with softmax and the products
of attention faster.

Saving: a stated range. Of softmax and what stands around it 0.2 remains at best, 0.4 is expected, 0.8 at worst.

Stays quiet when: a fused kernel is at work, or softmax takes less than 5 % of the time.

Fix: F.scaled_dot_product_attention(q, k, v, is_causal=True), or attn_implementation="sdpa" of transformers; a mask of
the kind that the fused kernels take.

Sources: FlashAttention; PyTorch documentation of scaled_dot_product_attention.
"""

from __future__ import annotations

from typing import Any

from slowprobe.diagnose.device_parts import class_share, on_device, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.device.kernels import KernelStat
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import Factor

MIN_SOFTMAX = 0.05  # of the time; the products around it take as much again
REMAINING = Factor(0.2, 0.4, 0.8)  # see "Saving" above
PRODUCTS = ("aten::bmm", "aten::baddbmm", "aten::matmul")

RULE = Rule(title="Attention is not fused", bottleneck="compute", needs=("device", "replay"))


def check(run: Evidence) -> Answer:
    """Look for softmax between batched products."""
    return on_device(run, _judge)


def _is_softmax(kernel: KernelStat) -> bool:
    return "softmax" in kernel.name.lower() and "log" not in kernel.name.lower()


def _judge(_: Any, facts: DeviceFacts) -> Diagnosis | Passed:
    fused = class_share(facts, "attention")
    mine = [kernel for kernel in facts.kernels if _is_softmax(kernel) and kernel.class_name != "attention"]
    taken = share(facts, sum(kernel.total_ns for kernel in mine))
    if taken < MIN_SOFTMAX:
        return Passed(f"softmax takes {taken:.1%} of the time" + (f", fused attention {fused:.0%}" if fused else ""))
    products = [kernel for kernel in facts.kernels if any(op in PRODUCTS for op in kernel.ops)]
    if not products:
        return Passed("softmax stands alone: no batched products around it")
    names = {kernel.name for kernel in mine}
    around = share(facts, sum(kernel.total_ns for kernel in products))
    return Diagnosis(
        summary=(
            f"Softmax takes {taken:.0%} of the time and batched products {around:.0%}: attention is computed in "
            "pieces, each through memory."
        ),
        where=[],
        fix=Fix(
            text="Let torch fuse it: F.scaled_dot_product_attention, without writing out the scores.",
            diff="+out = F.scaled_dot_product_attention(q, k, v, is_causal=True)",
        ),
        changes=[Faster(lambda name: name in names, REMAINING)],
        basis="stated range",
        evidence={
            "softmax, of the time": round(taken, 4),
            "batched products, of the time": round(around, 4),
            "fused attention, of the time": round(fused, 4),
        },
    )
