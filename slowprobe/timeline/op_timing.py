"""Times of the clean window for the operators of the annotated step, whose own times carry the cost of annotating."""

from __future__ import annotations

from statistics import fmean

from slowprobe.timeline.op_cost import FixedCost, subtree_dispatch_ns
from slowprobe.timeline.op_tree import OpTree


class CleanTiming:
    """Durations, fixed costs and gaps by position in the annotated tree, for the launches of its first step."""

    def __init__(self, annotated: OpTree, clean: OpTree, cost: FixedCost) -> None:
        self.duration_ns: dict[int, int] = {}
        self.dispatch_ns: dict[int, int] = {}
        self.gap_ns: dict[int, int] = {}
        self.notes: list[str] = []
        launches = annotated.steps[0].launches
        wanted = [annotated.names[i] for i in launches]
        dispatch_ns = subtree_dispatch_ns(clean, cost)
        twins = [step for step in clean.steps if [clean.names[i] for i in step.launches] == wanted]
        if twins:  # the same operators in the same order: the mean of each over the clean steps
            for at, i in enumerate(launches):
                self.duration_ns[i] = _mean([clean.duration_ns[step.launches[at]] for step in twins])
                self.dispatch_ns[i] = _mean([dispatch_ns[step.launches[at]] for step in twins])
                self.gap_ns[i] = _mean([step.gaps_ns[at] for step in twins])
            return
        self._by_name(annotated, clean, dispatch_ns)

    def _by_name(self, annotated: OpTree, clean: OpTree, dispatch_ns: list[int]) -> None:
        """Each duration scaled by how much slower its operator's mean is when annotated."""
        step = annotated.steps[0]
        seen: dict[str, list[tuple[int, int, int]]] = {}
        for clean_step in clean.steps:
            for i, gap in zip(clean_step.launches, clean_step.gaps_ns, strict=True):
                seen.setdefault(clean.names[i], []).append((clean.duration_ns[i], dispatch_ns[i], gap))
        annotated_ns: dict[str, list[int]] = {}
        for i in step.launches:
            annotated_ns.setdefault(annotated.names[i], []).append(annotated.duration_ns[i])
        strangers = 0
        for i, gap in zip(step.launches, step.gaps_ns, strict=True):
            name, duration = annotated.names[i], annotated.duration_ns[i]
            known = seen.get(name)
            if known is None:
                strangers += 1
                self.duration_ns[i], self.dispatch_ns[i], self.gap_ns[i] = duration, 0, gap
                continue
            scale = fmean(d for d, _, _ in known) / max(1.0, fmean(annotated_ns[name]))
            self.duration_ns[i] = round(duration * scale)
            self.dispatch_ns[i] = min(self.duration_ns[i], _mean([dispatch for _, dispatch, _ in known]))
            self.gap_ns[i] = min(gap, _mean([g for _, _, g in known]))
        if strangers:
            self.notes.append(
                f"{strangers} operators of the annotated step are not in the clean window: times as annotated"
            )


def _mean(values: list[int]) -> int:
    return round(fmean(values))
