"""What one operator costs however little it does, and what remains as work.

An operator call pays a fixed price (dispatcher, autograd bookkeeping, output allocation, iterator set-up) and a price
that grows with the data: t(n) = t0 + n/r, the start-up model of vector machines (Hockney, "Performance of parallel
computers", 1982). t0 is read off the trace: a low quantile of the self time of an operator over its calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from slowprobe.timeline.op_classes import OpClass, classify
from slowprobe.timeline.op_tree import OpTree

TINY_US = 5.0
"""At some 10 GB/s a core moves 50 KB in this time: a shorter operator is mostly its own start-up."""
WORKLESS: frozenset[OpClass] = frozenset({"view", "autograd"})
"""Classes that touch no data, whatever its size: their whole self time is fixed cost."""
DEFAULT_US = 2.0
"""Where a window has no tiny operators: the self time of a small add or tanh under the profiler, torch 2.13, x86."""
_NO_KERNEL = WORKLESS | {"allocation", "compiled"}
_ENOUGH = 20  # fewer tiny operators say little about their low quantile
_LOW = 10  # percentile: below the median, so that caches and preemption do not count as fixed cost
_TYPICAL = 25  # percentile over all tiny operators, of which some do a little work
_SPREAD = 3.0  # addmm starts up about three times as slowly as add (argument checks, expand, BLAS call)


@dataclass(frozen=True, slots=True)
class FixedCost:
    """The fixed cost of a call, in general and by operator name."""

    typical_us: float
    basis: Literal["measured", "default"]
    by_name_us: dict[str, float]

    def dispatch_ns(self, name: str, self_ns: int) -> int:
        """How much of an operator's self time was fixed cost: never more than it took."""
        if classify(name) in WORKLESS:
            return min(self_ns, round(TINY_US * 1000))  # beyond that it was preempted
        return min(self_ns, round(self.by_name_us.get(name, self.typical_us) * 1000))


def fixed_cost(tree: OpTree) -> FixedCost:
    """Reads the fixed costs off all operators of a window."""
    self_us: dict[str, list[float]] = {}
    tiny: list[float] = []
    for name, op_class, self_ns in zip(tree.names, tree.op_class, tree.self_ns, strict=True):
        microseconds = self_ns / 1000
        self_us.setdefault(name, []).append(microseconds)
        if microseconds < TINY_US and op_class not in _NO_KERNEL:
            tiny.append(microseconds)
    measured = len(tiny) >= _ENOUGH
    typical_us = percentile(tiny, _TYPICAL) if measured else DEFAULT_US
    by_name = {
        name: min(percentile(times, _LOW), _SPREAD * typical_us) for name, times in self_us.items() if len(times) >= 5
    }
    return FixedCost(typical_us, "measured" if measured else "default", by_name)


def subtree_dispatch_ns(tree: OpTree, cost: FixedCost) -> list[int]:
    """Fixed cost of every outermost operator with all that is nested in it (zero at nested positions)."""
    total = [0] * len(tree.names)
    for i, root in enumerate(tree.root):
        total[root] += cost.dispatch_ns(tree.names[i], tree.self_ns[i])
    return total


def batched_ns(calls: Iterable[tuple[str, int, int]]) -> int:
    """What calls, as (operator, duration, fixed cost) in ns, would take if equal ones ran as one call on stacked data.

    Per distinct operator one fixed cost, and all the work: t0 + sum(max(0, t_i - t0)). The work is taken to be as
    efficient as before; batching usually makes it more so (wider vectors, more threads), so that this is a low
    estimate of what vectorising saves. Calls that depend on each other (a recurrence) cannot be batched: that is for
    the reader of the line to see, not for this sum.
    """
    fixed: dict[str, list[int]] = {}
    work_ns = 0
    for name, duration_ns, dispatch_ns in calls:
        fixed.setdefault(name, []).append(dispatch_ns)
        work_ns += max(0, duration_ns - dispatch_ns)
    return work_ns + sum(round(sum(costs) / len(costs)) for costs in fixed.values())


def percentile(values: Sequence[float], q: float) -> float:
    """The q-th percentile; 0 of nothing."""
    return float(np.percentile(np.asarray(values), q)) if len(values) else 0.0
