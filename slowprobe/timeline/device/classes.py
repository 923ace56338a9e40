"""Which class of work a kernel does, by its name and by the operator that launched it."""

from __future__ import annotations

CLASSES = (
    "matmul",
    "convolution",
    "attention",
    "elementwise",
    "normalization",
    "reduction",
    "indexing",
    "optimizer",
    "embedding",
    "communication",
    "copy",
    "memset",
    "other",
)


def kernel_class(name: str, launching_op: str | None = None) -> str:
    """One of `CLASSES` for a kernel of this name, launched by this operator."""
    raise NotImplementedError


def uses_tensor_cores(name: str) -> bool:
    """Whether the kernel's name says that it multiplies on tensor cores (matrix cores on AMD)."""
    raise NotImplementedError


def is_communication(name: str, annotation: str | None = None) -> bool:
    """Whether a kernel moves data between ranks, by its name or by the annotation or operator that launched it."""
    raise NotImplementedError
