"""cuDNN guesses the algorithm of each convolution, though it could measure which is fastest.

What it is: torch.backends.cudnn.benchmark is off, which is the default, and batches have the same shape in every step.

Why it is slow: the guess is made from a table, without knowing this card, this shape and this layout. Measured once for
each shape, the choice holds for the rest of the training.

How it is seen: the setting as the loop ran, the part of the time in convolutions, and how many sizes the batches of the
profiled steps have. The recorded graph is replayed with convolutions faster.

Saving: a stated range. Of convolutions 0.7 remains at best, 0.9 is expected (many guesses are right), all at worst.

Stays quiet when: the setting is on; convolutions take less than 20 % of the time; batches come in more than four sizes
(each would be measured again); or the script asks for deterministic algorithms. A trace does not hold the setting.

Fix: torch.backends.cudnn.benchmark = True, before the first step. The last batch of an epoch, if it is smaller, is
measured once as well.

Sources: PyTorch Performance Tuning Guide; speechbrain #294 (17 to 12 minutes an epoch); pytorch #2759 (slower where
sizes vary).
"""

from __future__ import annotations

from slowprobe.diagnose.device_parts import class_share, on_device
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import Factor

MIN_CONVOLUTIONS = 0.20  # of the time; below, the tenth that is expected of it is not felt
SIZES = 4  # of batches; measuring a shape takes a second and more
LEFT = Factor(0.7, 0.9, 1.0)  # see "Saving" above

RULE = Rule(
    title="Convolutions run by cuDNN's first guess",
    bottleneck="compute",
    needs=("device", "settings", "batch_bytes", "replay"),
)


def check(run: Evidence) -> Answer:
    """Look at the setting, and at whether shapes stay the same."""
    return on_device(run, _judge)


def _judge(run: Evidence, facts: DeviceFacts) -> Diagnosis | Passed | NotChecked | NotApplicable:
    convolving = class_share(facts, "convolution")
    if convolving < MIN_CONVOLUTIONS:
        return NotApplicable(f"convolutions take {convolving:.1%} of the time")
    if run.settings.get("cudnn_benchmark") is None:
        return NotChecked("the setting was not recorded")
    if run.settings["cudnn_benchmark"]:
        return Passed("torch.backends.cudnn.benchmark is on")
    if run.settings.get("deterministic"):
        return NotApplicable("the script asks for deterministic algorithms")
    if not run.batch_bytes:
        return NotChecked("the profiled steps copy no batch to the device: whether shapes stay the same is not known")
    sizes = len(set(run.batch_bytes))
    if sizes > SIZES:
        return Passed(f"batches come in {sizes} sizes in {len(run.batch_bytes)} steps: each would be measured anew")
    return Diagnosis(
        summary=(
            f"Convolutions take {convolving:.0%} of the time, batches have {sizes} size"
            f"{'s' if sizes > 1 else ''}, and torch.backends.cudnn.benchmark is off."
        ),
        where=[],
        fix=Fix(
            text="Let cuDNN measure its algorithms, once for each shape.",
            diff="+torch.backends.cudnn.benchmark = True",
        ),
        changes=[Faster("convolution", LEFT)],
        basis="stated range",
        evidence={
            "convolutions, of the time": round(convolving, 4),
            "sizes of batches": sizes,
            "steps looked at": len(run.batch_bytes),
        },
    )
