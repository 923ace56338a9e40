"""What the pieces of compiled code cost beyond their operators: entering and leaving each, forward and backward."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from slowprobe.timeline.op_tree import OpTree

_REGION = "Torch-Compiled Region"
_BACKWARD = ("CompiledFunctionBackward", "autograd::engine::evaluate_function: CompiledFunctionBackward")
_FORWARD = ("CompiledFunction", "TorchDynamo Cache Lookup")


@dataclass(frozen=True, slots=True)
class CompiledPieces:
    """Of the clean window, a step."""

    count: float
    """Pieces of compiled code that a step enters in its forward pass."""
    forward_ms: float
    """Guards, wrappers and the bookkeeping of autograd; the operators inside, or the generated code, are not in it."""
    backward_ms: float
    step_ms: float


def compiled_pieces(clean: OpTree) -> CompiledPieces | None:
    """None where no step of the window ran compiled code."""
    steps = len(clean.steps)
    regions = forward_ns = backward_ns = 0
    for name, step, self_ns in zip(clean.names, clean.step_of, clean.self_ns, strict=True):
        if step < 0:
            continue
        if name.startswith(_REGION):
            regions += 1
            forward_ns += self_ns
        elif name in _FORWARD:
            forward_ns += self_ns
        elif name in _BACKWARD:
            backward_ns += self_ns
    if not regions:
        return None
    step_ms = median((step.end_ns - step.start_ns) / 1e6 for step in clean.steps)
    return CompiledPieces(regions / steps, forward_ns / steps / 1e6, backward_ns / steps / 1e6, step_ms)
