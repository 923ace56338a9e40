"""Batches travel to the device in a wider type than their contents need.

What it is: images as float32 that were 8 bits a channel in their files, masks of classes as int64, arrays in numpy's
float64.

Why it is slow: the link is the narrowest place on the way, and every byte that carries nothing takes its time there
(and in the loader, its queue and pinned memory before). On the device a cast takes a fiftieth of the copy.

How it is seen: shape and type of the tensors that are copied to the device. The recorded graph is replayed with these
copies as long as the narrower type makes them.

Saving: a stated range. At best and as expected the copy takes the narrower type's part of its time (a quarter, an
eighth); at worst all of it, if the contents need their type after all: values are not in a trace. Of float64, which no
network computes in, half remains at worst.

Stays quiet when: such copies are exposed for less than 3 % of the time, types are narrow, or neither shape (three
channels, 32 pixels and more) nor type tells.

Fix: keep uint8 in the dataset, and cast and normalize on the device.

    x = x.to(device, non_blocking=True).float().div_(255)

Sources: NVIDIA DALI and FFCV (uint8 until the device); rf-detr #1396 (uint8 batches); PyTorch Performance Tuning Guide.
"""

from __future__ import annotations

from dataclasses import dataclass

from slowprobe.diagnose.device_parts import on_device, per_step, places, share
from slowprobe.diagnose.evidence import Evidence
from slowprobe.diagnose.finding import Fix
from slowprobe.diagnose.rule import Answer, Diagnosis, NotChecked, Passed, Rule
from slowprobe.diagnose.rules._copies import MIN_EXPOSED
from slowprobe.timeline.copied_tensors import ITEM_BYTES, CopiedTensor
from slowprobe.timeline.device.facts import DeviceFacts
from slowprobe.timeline.graph.changes import Faster
from slowprobe.timeline.loop_changes import Factor

PIXELS = 32  # of an image's side, at least; below, a tensor of this shape is as well a window of something else
CHANNELS = 3  # one is as often a spectrogram or a scan of 12 bits, four are the latents of a diffusion model
MOST_OBLONG = 4  # times as wide as high, of masks; pieces of a text have few rows and long ones
OFTEN = 0.5  # a step: what comes less often is no batch

RULE = Rule(
    title="Batches are copied in a wider type than they need",
    bottleneck="transfer",
    needs=("device", "copied_tensors", "replay"),
)


@dataclass(frozen=True)
class _Wide:
    """A tensor, the type that would do, and what remains of its copies."""

    tensor: CopiedTensor
    kind: str
    narrow: str
    left: Factor


def check(run: Evidence) -> Answer:
    """Look at the types of what is copied to the device."""
    return on_device(run, _judge)


def _judge(run: Evidence, facts: DeviceFacts) -> Diagnosis | Passed | NotChecked:
    tensors = run.copied_tensors
    exposed = share(facts, sum(tensor.exposed_ns for tensor in tensors))
    if exposed < MIN_EXPOSED:
        return Passed(f"copies to the device hold it up {exposed:.1%} of the time")
    if not any(tensor.dtype for tensor in tensors):
        return NotChecked("types of tensors were not recorded (record_shapes=True)")
    wide = [found for tensor in tensors if per_step(facts, tensor.count) >= OFTEN and (found := _wide(tensor))]
    exposed = share(facts, sum(each.tensor.exposed_ns for each in wide))
    if exposed < MIN_EXPOSED:
        return Passed(f"tensors that a narrower type could hold hold up the device {exposed:.1%} of the time")
    first = max(wide, key=lambda each: each.tensor.exposed_ns)
    return Diagnosis(
        summary=(
            f"{first.kind[0].upper()}{first.kind[1:]} of shape {_shape(first.tensor)} are copied as "
            f"{_name(first.tensor)}, {first.tensor.size_bytes / 1e6:.1f} MB each; such copies hold up the device "
            f"{exposed:.0%} of the time. If {first.narrow} holds their values, "
            f"{first.left.expected:.0%} of the bytes would do."
        ),
        where=places((each.tensor.site, each.tensor.exposed_ns) for each in wide),
        fix=_fix(first),
        changes=[Faster(each.tensor.rows, each.left) for each in wide],
        basis="stated range",
        evidence={
            "exposed, of the time": round(exposed, 4),
            "tensors": ", ".join(f"{_name(each.tensor)} {_shape(each.tensor)}" for each in wide[:5]),
            "bytes a step": round(per_step(facts, sum(each.tensor.size_bytes * each.tensor.count for each in wide))),
        },
    )


def _wide(tensor: CopiedTensor) -> _Wide | None:
    dims, dtype = tensor.dims, tensor.dtype
    if dims is None or dtype is None:
        return None
    size = ITEM_BYTES[dtype]
    if dtype == "long int" and _is_mask(dims):
        return _Wide(tensor, "masks", "uint8", Factor(1 / size, 1 / size, 1.0))
    at_worst = 0.5 if dtype == "double" else 1.0
    if dtype in ("double", "float", "c10::Half", "c10::BFloat16") and _is_image(dims):
        return _Wide(tensor, "images", "uint8", Factor(1 / size, 1 / size, at_worst))
    return _Wide(tensor, "numbers", "float32", Factor(0.5, 0.5, 0.5)) if dtype == "double" else None


def _is_mask(dims: tuple[int, ...]) -> bool:
    return len(dims) >= 3 and min(dims[-2:]) >= PIXELS and max(dims[-2:]) <= MOST_OBLONG * min(dims[-2:])


def _is_image(dims: tuple[int, ...]) -> bool:
    """Pictures or videos, channels first or last."""
    if len(dims) < 4:
        return False
    first = min(dims[-2:]) >= PIXELS and CHANNELS in dims[1:-2]
    return first or (dims[-1] == CHANNELS and min(dims[-3:-1]) >= PIXELS)


def _shape(tensor: CopiedTensor) -> str:
    return "x".join(map(str, tensor.dims or ()))


def _name(tensor: CopiedTensor) -> str:
    known = {"double": "float64", "float": "float32", "long int": "int64", "c10::Half": "float16"}
    return known.get(tensor.dtype or "", (tensor.dtype or "").removeprefix("c10::").lower())


def _fix(wide: _Wide) -> Fix:
    if wide.kind == "images":
        return Fix(
            text="Keep images in uint8 (no ToTensor or Normalize in the dataset); cast and normalize on the device.",
            diff="+x = x.to(device, non_blocking=True).float().div_(255)",
        )
    if wide.kind == "masks":
        return Fix(
            text="Keep masks in uint8, and cast on the device.", diff="+y = y.to(device, non_blocking=True).long()"
        )
    return Fix(text="Make float32 of numpy's float64 in the dataset: array.astype(np.float32).")
