"""The optimizer or the model computes with numbers so small that the processor leaves its fast path.

What it is: subnormal (denormal) numbers, below 1.2e-38 in float32. Moving averages of gradients that have become zero
fade into them and stay there, for 0.9 times the smallest number rounds to itself; so do decaying weights.

Why it is slow: processors compute with them in microcode or in a library's slow branch. A square root or a product can
take ten times as long, on some processors a hundred.

How it is seen: at a few of the optimizer's steps, samples of its weights, gradients and state are read where they lie.
After the run the sample is stepped again on this machine, as it is and with such numbers flushed to zero, and so is a
product with the largest weight that has some. Activations are not looked at.

Saving: its steps after the last reading without such numbers become as long as those before, where there were thirty
or more; else the optimizer's time as the samples took it, from the reading at which they were first seen. Of forward
and backward the part of the weights that hold some, as the product took it; at worst none of that.

Stays quiet when: subnormal numbers are flushed already, fewer than one number in 200 is one, or stepping the samples
without them is not faster by a fifth on this processor.

Fix: torch.set_flush_denormal(True) before training. Where gradients themselves are that small, scale the loss instead:
flushed, they would be zero.

Sources: torch.set_flush_denormal documentation; Intel optimization manual (denormal assists).
"""

from __future__ import annotations

from statistics import median

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.loop_changes import Factor, Scale, as_measured

MIN_SHARE = 0.005  # of the numbers of a role: at some 150 cycles each, fewer are lost in the others
MIN_LOOP_SHARE = 0.03  # of loop time, optimizer and model together; less is within step-to-step noise
MAX_LEFT = 0.8  # of the time without subnormal numbers: two measurements of the same differ by less
SPREAD = 0.25  # samples lie closer together in memory than the tensors they stand for
TINY_GRADIENTS = 0.01  # of the gradients: then flushing is no remedy
MIN_CLEAN = 30  # steps: the median of fewer is off by some per cent
ROLES = ("weights", "gradients", "state")
FLUSH = "torch.set_flush_denormal(True)"

RULE = Rule(
    title="Numbers too small for the processor's fast path",
    bottleneck="compute",
    needs=("steps", "optimizers", "costs", "partition", "recording", "step_lengths"),
)


def check(run: Evidence) -> Answer:
    """Compare the steps of each optimizer's samples as they are and flushed."""
    if not run.optimizers:
        return NotApplicable("no torch optimizer was used")
    costs = run.costs
    if "subnormal.flushing" not in costs:
        return NotChecked("no optimizer's tensors were read")
    if costs["subnormal.flushing"]:
        return Passed("subnormal numbers are flushed to zero already")
    numbers = {
        subject.site: number for number, subject in run.recording.subjects.items() if subject.kind == "optimizer"
    }
    seen = {role: max(_values(costs, f".{role}"), default=0.0) for role in ROLES}
    if not any(_values(costs, f".{role}") for role in ROLES):
        return NotApplicable("no dense parameters in the memory of the CPU")
    share, role = max((share, role) for role, share in seen.items())
    if share < MIN_SHARE:
        return Passed(f"of the {role}, {share:.2%} are subnormal numbers: too few to matter")
    found = [
        diagnosis for facts in run.optimizers if (diagnosis := _diagnose(run, facts, numbers.get(facts.where), seen))
    ]
    return found or Passed(
        f"{share:.1%} of the {role} are subnormal numbers, which this processor takes no longer for, or they are few"
    )


def _values(costs: dict[str, float], role: str) -> list[float]:
    return [value for name, value in costs.items() if name.startswith("subnormal.") and name.endswith(role)]


def _diagnose(run: Evidence, facts: SpanFacts, number: int | None, seen: dict[str, float]) -> Diagnosis | None:
    costs, prefix = run.costs, f"subnormal.{number}"
    since = costs.get(f"{prefix}.since")
    if since is None:
        return None
    before = min(1.0, since / max(facts.calls, 1))
    changes: list[Scale] = []
    left = _left(costs, prefix, "")
    if left is not None and left <= MAX_LEFT:
        seen_left, part = _in_loop(run, number, int(costs.get(f"{prefix}.none_until", 0)))
        if seen_left is None:
            seen_left, part = left, (1 - before) / (1 - before + before * left)  # steps with them take longer
        factor = as_measured(seen_left, SPREAD)
        changes += [
            Scale("optimizer", scope, seconds, factor.of_part(part))
            for scope, seconds in facts.scopes.items()
            if seconds > 0
        ]
    product = _left(costs, prefix, "product_")
    if product is not None and product <= MAX_LEFT:
        part = (1 - before) * costs.get(f"{prefix}.weights_with", 0.0)
        for bucket in ("forward", "backward"):
            spent = run.partition.bucket_s(bucket, "step")
            changes.append(Scale(bucket, "step", spent, Factor(product, product, 1.0).of_part(part)))
    spent = sum(change.seconds for change in changes)
    if not changes or spent < MIN_LOOP_SHARE * run.partition.loop_s:
        return None
    taken = [
        f"{what} takes {1 / part:.1f} times as long with them"
        for what, part in (("a step of it", left), ("a product with such a weight", product))
        if part is not None and part <= MAX_LEFT
    ]
    mine = {role: costs.get(f"{prefix}.{role}", 0.0) for role in ROLES}
    share, role = max((share, role) for role, share in mine.items())
    tiny = mine["gradients"] >= TINY_GRADIENTS
    scale = "scale the loss (or the unit of the targets), and the gradients with it: many of them are subnormal numbers"
    flush = f"Call {FLUSH} before the training begins: what is smaller than 1.2e-38 becomes zero."
    return Diagnosis(
        title=f"{facts.name} computes with subnormal numbers",
        summary=(
            f"{share:.0%} of its {role} are numbers below the processor's normal range: on this machine, "
            f"{' and '.join(taken)}."
        ),
        where=place(facts.where),
        fix=Fix(
            text=f"{scale[0].upper()}{scale[1:]}." if tiny else flush,
            diff="" if tiny else diff([], [f"{FLUSH}  # before the training loop"]),
        ),
        changes=changes,
        basis="calibrated replay",
        evidence={
            **{f"subnormal numbers in {role}": round(share, 4) for role, share in mine.items()},
            "first seen, step": round(since),
            "a step over samples, ms": round(costs.get(f"{prefix}.now_ms", 0.0), 3),
            "the same flushed, ms": round(costs.get(f"{prefix}.flushed_ms", 0.0), 3),
        },
    )


def _in_loop(run: Evidence, number: int | None, none_until: int) -> tuple[float | None, float]:
    """What would be left of the optimizer's steps after the last reading without, and their part of its time."""
    lengths = run.step_lengths.get(number, []) if number is not None else []
    clean, others = lengths[:none_until], lengths[none_until:]
    if len(clean) < MIN_CLEAN or not others:
        return None, 0.0
    left = min(1.0, median(clean) * len(others) / sum(others))
    return left, sum(others) / (sum(clean) + sum(others))


def _left(costs: dict[str, float], prefix: str, what: str) -> float | None:
    now, flushed = costs.get(f"{prefix}.{what}now_ms"), costs.get(f"{prefix}.{what}flushed_ms")
    return min(1.0, flushed / now) if now and flushed else None
