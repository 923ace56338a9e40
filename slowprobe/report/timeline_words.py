"""What the parts of a timeline are called and which colour they have, on the device and on the host."""

from __future__ import annotations

from typing import get_args

from slowprobe.report import device_words
from slowprobe.timeline.op_classes import OpClass
from slowprobe.timeline.partition import LABELS

LOOP = tuple(LABELS)
WORKER = {"fetch": "Fetching items", "collate": "Collating", "hand_over": "Handing over"}
_OPERATORS: dict[str, tuple[str, str]] = {
    "matmul": ("Matrix products", "matmul"),
    "convolution": ("Convolutions", "convolution"),
    "attention": ("Attention", "attention"),
    "elementwise": ("Elementwise", "elementwise"),
    "normalisation": ("Normalisation", "normalization"),
    "reduction": ("Reductions", "reduction"),
    "indexing": ("Indexing", "indexing"),
    "rnn": ("Recurrent cells", "step"),
    "copy": ("Copies", "copy_kernel"),
    "view": ("Views", "other"),
    "allocation": ("Allocating", "allocator"),
    "random": ("Random numbers", "embedding"),
    "loss": ("Loss", "sync"),
    "optimizer": ("Optimizer", "optimizer"),
    "data": ("Data loader", "data_wait"),
    "autograd": ("Autograd engine", "framework"),
    "compiled": ("Compiled code", "compile"),
    "other": ("Other operators", "memset"),
    "python": ("Python between operators", "python"),
}
OPERATORS = (*get_args(OpClass), "python")


def loop_part(bucket: str) -> str:
    """The part that a bucket of the loop is."""
    return f"loop_{bucket}"


def worker_part(stage: str) -> str:
    """The part that a worker's stage of making a batch is."""
    return f"worker_{stage}"


def operator_part(op_class: str) -> str:
    """The part that a class of operators on the CPU is."""
    return f"op_{op_class}"


def label(part: str) -> str:
    """A part in words; one that is not known keeps its id."""
    kind, _, name = part.partition("_")
    if kind == "loop":
        return LABELS.get(name, name)
    if kind == "worker":
        return WORKER.get(name, name)
    return _OPERATORS[name][0] if kind == "op" and name in _OPERATORS else device_words.label(part)


def bucket(part: str) -> str:
    """The name of a part's colour in the palette."""
    kind, _, name = part.partition("_")
    if kind in ("loop", "worker"):
        return name
    return _OPERATORS[name][1] if kind == "op" and name in _OPERATORS else device_words.bucket(part)
