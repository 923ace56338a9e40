"""The categories of trace rows under one name each, whichever torch release wrote them."""

from __future__ import annotations

CANONICAL = {
    # 2021 names (torch 1.8 to 1.10) -> the names of today
    "Operator": "cpu_op",
    "Kernel": "kernel",
    "Memcpy": "gpu_memcpy",
    "Memset": "gpu_memset",
    "Runtime": "cuda_runtime",
    "User Annotation": "user_annotation",
    "PythonFunction": "python_function",
    "Python function": "python_function",
    # other accelerators and later renames
    "hip_runtime": "cuda_runtime",
    "privateuse1_runtime": "cuda_runtime",
    "mtia_runtime": "cuda_runtime",
    "async": "ac2g",
    "async_cpu_to_gpu": "ac2g",
    "forward_backward": "fwdbwd",
}

_ANNOTATION_PREFIXES = (
    # Before user_annotation existed, and from the fast record function today, these arrive as operators.
    "ProfilerStep#",
    "Optimizer.step#",
    "Optimizer.zero_grad#",
    "enumerate(DataLoader)#",
    "slowprobe.",
)


def canonical_category(category: str) -> str:
    """The present-day name of a category; unknown ones stay as they are."""
    return CANONICAL.get(category, category)


def is_annotation(name: str) -> bool:
    """Whether a row of category cpu_op is not an operator but a named stretch of the program."""
    return name.startswith(_ANNOTATION_PREFIXES)
