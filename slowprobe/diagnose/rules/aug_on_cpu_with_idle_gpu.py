"""Workers augment images one by one on cores that are all busy, while the device waits for them.

What it is: flips, colour changes, blurs, erasing and normalizing in the dataset, item by item, where no core is left
for another worker and the device is idle for a third of the time.

Why it is slow: the cores set the pace. The same operations on the whole batch are a few kernels for the device, at a
time when it has nothing else to do.

How it is seen: the time of transforms that exist for batches on the device, by name, as part of the time in which
batches are made; the CPU time of steps and workers against the cores of this rank; the device's idle time in the
profiled steps. The recorded batches are replayed without these transforms.

Saving: of their time none remains at best, 0.05 is expected (the cast and the copy of a batch), 0.3 at worst. What the
device spends on them is not counted: it has to be less than the idle time that it replaces.

Stays quiet when: steps wait for less than 20 % of loop time, a core is idle for one more worker (workers-too-few), the
device is at work for 70 % of the time, no such transform is known by its name, or the loop would gain less than 5 %.

Fix: leave decoding, resizing and cropping in the dataset, and apply the others to the batch on the device:
torchvision.transforms.v2 draws one set of random numbers a batch, kornia.augmentation one an item.

Sources: NVIDIA DALI; kornia.augmentation; torchvision.transforms.v2; gpuprof (cpu_bound_dataloader: "num_workers won't
help").
"""

from __future__ import annotations

from functools import partial

from slowprobe.diagnose.device_parts import share
from slowprobe.diagnose.edits import place
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.making_parts import part_of
from slowprobe.diagnose.rule import Answer, Diagnosis, NotApplicable, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._batch_cost import saved_share
from slowprobe.diagnose.rules._supply import Supply, cores_used, has_room, judged
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.loop_changes import Factor, Reload
from slowprobe.timeline.making_stacks import StackTime
from slowprobe.timeline.worker_side import TransformTime

MIN_WAIT = 0.20  # of loop time; below, moving code to another library is not worth its work
MOST_BUSY = 0.70  # of the device's time; above, what is added to it is felt
MIN_SAVING = 0.05  # of loop time: medium severity
LEFT = Factor(0.0, 0.05, 0.3)  # see "Saving" above
_NAMES = """
    Normalize ConvertImageDtype ToDtype ColorJitter RandomHorizontalFlip RandomVerticalFlip RandomGrayscale
    Grayscale GaussianBlur GaussianNoise RandomErasing RandomRotation RandomAffine RandomPerspective
    ElasticTransform RandomAdjustSharpness RandomAutocontrast RandomEqualize RandomInvert RandomPosterize
    RandomSolarize RandomPhotometricDistort RandAugment TrivialAugmentWide AutoAugment AugMix MixUp CutMix
    HorizontalFlip VerticalFlip Rotate ShiftScaleRotate Affine Perspective RandomBrightnessContrast
    HueSaturationValue RandomGamma GaussNoise Blur MotionBlur CLAHE GridDistortion CoarseDropout Spectrogram
    MelSpectrogram MFCC FrequencyMasking TimeMasking
"""
ON_BATCHES = frozenset(_NAMES.split())
"""Of torchvision, albumentations and torchaudio: torchvision's v2, kornia or torchaudio has them for batches on the
device. Those that make items equally large (Resize, RandomResizedCrop) have to stay."""

RULE = Rule(
    title="Augmentation keeps the cores busy while the device is idle",
    bottleneck="input",
    needs=("device", "loaders", "partition", "loader_models", "making_stacks", "replay", "cores_per_rank", "source"),
    closer_than=("slow-transform",),
)


def check(run: Evidence) -> Answer:
    """Find augmentations that the idle device could do."""
    facts = run.device
    if facts is None:
        return NotApplicable("no accelerator was at work")
    busy = share(facts, facts.partition.busy_ns)
    if busy > MOST_BUSY:
        return Passed(f"the device is at work for {busy:.0%} of the time")
    return judged(run, partial(_judge, facts))


def _judge(facts: DeviceFacts, run: Evidence, supply: Supply) -> Diagnosis | Passed | NotChecked:
    loader = supply.loader
    model = run.loader_models.get(loader.id)
    if supply.wait_share < MIN_WAIT:
        return Passed(f"the steps wait for {supply.wait_share:.1%} of loop time")
    if model is None or not loader.fetch_s:
        return NotChecked("how batches are made was not recorded")
    if has_room(run, model, supply):
        return Passed("cores are idle: more workers come first (see workers-too-few)")
    mine = [each for each in loader.making.transforms if _name(each) in ON_BATCHES]
    change = Reload(loader.id, fetch=LEFT.of_part(min(1.0, sum(each.wall_s for each in mine) / loader.fetch_s)))
    gain = saved_share(run, change) if mine else 0.0
    if gain < MIN_SAVING:
        return Passed(f"without the transforms that a device can apply to batches the loop would gain {gain:.1%}")
    return _diagnosis(run, supply, facts, mine, change, cores_used(model, supply))


def _diagnosis(
    run: Evidence, supply: Supply, facts: DeviceFacts, mine: list[TransformTime], change: Reload, used: float
) -> Diagnosis:
    loader = supply.loader
    names = ", ".join(_name(each) for each in mine[:5])
    part = sum(each.share for each in mine)
    at_work = min(used, run.cores_per_rank)
    lines = part_of(run, loader, "fetch", lambda stack: _augments(stack, mine)).where if run.making_stacks else []
    return Diagnosis(
        summary=(
            f"{names} take {part:.0%} of making batches on the CPU, item by item; {at_work:.1f} of "
            f"{run.cores_per_rank:.1f} cores are at work, the steps wait for {supply.wait_share:.0%} of loop time, and "
            f"the device is idle {1 - share(facts, facts.partition.busy_ns):.0%} of it."
        ),
        where=lines or place(loader.where),
        fix=Fix(
            text=(
                f"Take {names} out of the dataset and apply them to the batch on the device (torchvision.transforms.v2 "
                "with one set of random numbers a batch, kornia.augmentation with one an item)."
            )
        ),
        changes=[change],
        basis="stated range",
        evidence={
            "transforms, of making batches": round(part, 4),
            "waiting, of loop time": round(supply.wait_share, 4),
            "device at work, of the profiled steps": round(share(facts, facts.partition.busy_ns), 4),
            "cores at work": round(at_work, 2),
            "cores": run.cores_per_rank,
            "num_workers": loader.num_workers,
        },
    )


def _name(transform: TransformTime) -> str:
    return transform.name.rpartition(".")[2]


def _augments(stack: StackTime, mine: list[TransformTime]) -> bool:
    names = {_name(each) for each in mine}
    return any(names.intersection(frame.function.split(".")) for frame in stack.below)
