"""The tensors that a step makes of lists and arrays, by the line that makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from slowprobe.timeline.op_lines import launch_sources
from slowprobe.timeline.op_tree import OpTree

MAKING = "aten::lift_fresh"  # torch.tensor, as_tensor and from_numpy end in it
_BYTES = {"double": 8, "long int": 8, "float": 4, "int": 4, "c10::Half": 2, "c10::BFloat16": 2, "short int": 2}


@dataclass(frozen=True, slots=True)
class MadeTensor:
    """One tensor of the annotated step."""

    dims: tuple[int, ...]
    kind: str
    """Its type, as the profiler writes it."""

    @property
    def size(self) -> int:
        """Bytes."""
        return prod(self.dims) * _BYTES.get(self.kind, 1)

    @property
    def trial(self) -> str:
        """What the values that were tried for such a tensor are called (`capture.made_trials`)."""
        return f"made.{'x'.join(map(str, self.dims))}.{self.kind.replace(' ', '_')}"


def made_tensors(tree: OpTree, is_user: Callable[[str], bool]) -> dict[tuple[str, int], list[MadeTensor]]:
    """By file and line; none without recorded shapes."""
    if not tree.steps:
        return {}
    sources, _, _ = launch_sources(tree, is_user)
    found: dict[tuple[str, int], list[MadeTensor]] = {}
    for i, row in enumerate(tree.rows):
        dims, kinds = tree.trace.input_dims(row), tree.trace.input_types(row)
        source = sources.get(tree.root[i])
        if tree.names[i] == MAKING and source is not None and dims and dims[0] and kinds:
            found.setdefault(source[:2], []).append(MadeTensor(tuple(dims[0]), str(kinds[0])))
    return found
