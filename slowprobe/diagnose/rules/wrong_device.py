"""The model is on the CPU, though there is an accelerator.

What it is: model and batches were never moved to the accelerator, or a part of the model was left behind.

Why it is slow: matrix products and convolutions of a size take 5 to 100 times as long on a CPU.

How it is seen: where the parameters of the outermost modules are, when they are called in training; the accelerators
that this torch could use; and the work inside operators, from the profiler window.

Saving: a range that says little: a tenth of the operators' work is expected to remain, from a hundredth (large
convolutions, half precision) to a half.

Stays quiet when: there is no accelerator, or the script hides it; forward and backward take less than 20 % of the loop;
or most operator time is in operators below 100 µs: starting those takes as long on an accelerator.

Fix: net.to(device), and the batches in the loop.

Sources: PyTorch forums (GPU utilisation of 0 %); PyTorch documentation (CUDA semantics).
"""

from __future__ import annotations

from slowprobe.diagnose.edits import diff, place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.timeline.facts import SpanFacts
from slowprobe.timeline.loop_changes import Factor, Scale

MIN_SHARE = 0.20  # of loop time, in forward and backward; below, the model is not what the loop waits for
SMALL_US = 100  # an operator on an accelerator starts in some 10 µs; one ten times as long has something to gain
MAX_SMALL = 0.5  # of operator time
MOVED = Factor(0.01, 0.1, 0.5)  # see "Saving" above
BUCKETS = ("forward", "backward")

RULE = Rule(
    title="The model is on the CPU, though there is an accelerator",
    bottleneck="compute",
    needs=("steps", "settings", "forwards", "partition", "ops"),
)


def check(run: Evidence) -> Answer:
    """Look where the parameters are that are trained."""
    there = run.settings.get("accelerators")
    if there is None:
        return NotChecked("whether there is an accelerator was not recorded")
    if not there and not run.settings.get("devices"):
        return NotApplicable("there is no accelerator that this torch could use")
    trained = [facts for facts in run.forwards if facts.attrs.get("training") and facts.attrs.get("trainable")]
    left = [facts for facts in trained if facts.attrs.get("device") == "cpu"]
    if not left:
        return Passed("the modules that are trained are on the accelerator")
    loop_s = run.partition.loop_s
    share = _share(run, trained, left)
    spent = {bucket: share * run.partition.bucket_s(bucket, "step") for bucket in BUCKETS}
    if sum(spent.values()) < MIN_SHARE * loop_s:
        return Passed(f"what is computed on the CPU takes {sum(spent.values()) / loop_s:.0%} of loop time")
    small = run.ops.durations.time_share_below[SMALL_US]
    if small > MAX_SMALL:
        return Passed(f"{small:.0%} of operator time is in operators too small for an accelerator to gain from")
    return _diagnose(run, left, spent)


def _share(run: Evidence, trained: list[SpanFacts], left: list[SpanFacts]) -> float:
    """Of forward and backward that is on the CPU, by the forward passes."""
    total = sum(facts.loop_s for facts in trained)
    return sum(facts.loop_s for facts in left) / total if total else 0.0


def _diagnose(run: Evidence, left: list[SpanFacts], spent: dict[str, float]) -> Diagnosis:
    first, work = left[0], max(0.0, min(1.0, run.ops.shares.work))
    devices = run.settings.get("devices") or []
    used = f", and {devices[0]} does the rest" if devices else ""
    return Diagnosis(
        summary=(
            f"The parameters of {first.name} are on the CPU{used}; forward and backward there take "
            f"{sum(spent.values()) / run.partition.loop_s:.0%} of loop time."
        ),
        where=place(first.where),
        fix=Fix(
            text=(
                "Move the model before its optimizer is made, and each batch in the loop. Check first that "
                "torch.accelerator.is_available() says True."
            ),
            diff=diff(
                [],
                [
                    "device = torch.accelerator.current_accelerator()",
                    "net = net.to(device)  # before the optimizer",
                    "x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)",
                ],
            ),
        ),
        changes=[Scale(bucket, "step", part, MOVED.of_part(work)) for bucket, part in spent.items() if part > 0],
        basis="stated range",
        evidence={
            "accelerators": int(run.settings.get("accelerators") or len(devices)),
            "in use": ", ".join(devices) or "none",
            "modules on the CPU": ", ".join(sorted({facts.name for facts in left})),
            "work on data, of a step": round(work, 3),
        },
    )
