"""Reads the graph of a backward pass: its nodes, what each leads to, and the parameters at its leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_NODES = 20_000  # some 40 ms to walk

USEFUL, PARTLY, WASTED = 0, 1, 2
"""What a node's work comes to: all of it is needed; it also makes gradients that nobody uses; nothing else."""


@dataclass(frozen=True)
class GradientGraph:
    """A graph as numbers, so that no node of the user's is kept alive."""

    names: list[str]
    order: list[int]
    """Sequence numbers: the engine runs the nodes that are ready from the highest down."""
    children: list[list[int]]
    leaves: dict[int, int]
    """The id of the tensor at a leaf, by node."""

    def fates(self, wasted: set[int]) -> list[int]:
        """USEFUL, PARTLY or WASTED for each node, where the gradients of the tensors `wasted` are not used."""
        fate = [USEFUL] * len(self.names)
        needed = [False] * len(self.names)
        for node in _children_first(self.children):
            if node in self.leaves:
                needed[node] = self.leaves[node] not in wasted
            elif self.children[node]:
                needed[node] = any(needed[child] for child in self.children[node])
            else:
                needed[node] = True  # a node that ends here does something of its own: a hook, another device
            if not needed[node]:
                fate[node] = WASTED
            elif node not in self.leaves and not all(needed[child] for child in self.children[node]):
                fate[node] = PARTLY
        return fate


def read_graph(roots: Any) -> GradientGraph | None:
    """The graph under the tensors of a backward call; None where it is too large."""
    tensors = roots if isinstance(roots, (list, tuple)) else [roots]
    waiting = [tensor.grad_fn for tensor in tensors if getattr(tensor, "grad_fn", None) is not None]
    numbers: dict[Any, int] = {}
    names: list[str] = []
    order: list[int] = []
    children: list[list[int]] = []
    leaves: dict[int, int] = {}

    def number(node: Any) -> int:
        if node not in numbers:
            numbers[node] = len(numbers)
            names.append(node.name())
            order.append(node._sequence_nr())
            children.append([])
            variable = getattr(node, "variable", None)
            if variable is not None:
                leaves[numbers[node]] = id(variable)
            waiting.append(node)
        return numbers[node]

    for root in list(waiting):
        number(root)
    done: set[int] = set()
    while waiting:
        node = waiting.pop()
        mine = number(node)
        if mine in done:
            continue
        done.add(mine)
        children[mine] = [number(child) for child, _ in node.next_functions if child is not None]
        if len(numbers) > MAX_NODES:
            return None
    return GradientGraph(names, order, children, leaves)


def _children_first(children: list[list[int]]) -> list[int]:
    found: list[int] = []
    seen = [False] * len(children)
    for start in range(len(children)):
        if seen[start]:
            continue
        seen[start] = True
        stack = [(start, iter(children[start]))]
        while stack:
            node, rest = stack[-1]
            child = next((each for each in rest if not seen[each]), None)
            if child is None:
                found.append(node)
                stack.pop()
            else:
                seen[child] = True
                stack.append((child, iter(children[child])))
    return found
