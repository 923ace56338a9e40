"""The exchange of gradients between processes on CPUs: how often it happens, and what it takes of a step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slowprobe.timeline.device.intervals import Cover
from slowprobe.timeline.op_tree import OpTree, build_tree
from slowprobe.timeline.recording import KIND, Recording
from slowprobe.trace.reader import read_trace

_COLLECTIVE = re.compile(r"[a-z]+:all_?reduce(_coalesced)?")  # gloo:all_reduce, on a thread of the backend
_LAUNCH = ("c10d::allreduce_", "c10d::allreduce_coalesced_")
_ENGINE = "autograd::engine::"
_COPIES = ("torch::distributed::reducer::mul_out", "torch.distributed.ddp.reducer::copy_bucket_to_grad")
_EVENTS = ("forward", "backward", "zero_grad", "optimizer")


@dataclass(frozen=True)
class Accumulation:
    """Backward passes that were kept one by one, and of these how many only add to gradients of the next one."""

    backwards: int
    added: int

    @property
    def passes_an_update(self) -> float:
        """Backward passes between two uses of their gradients."""
        return self.backwards / max(1, self.backwards - self.added)


@dataclass(frozen=True)
class Exchange:
    """What the exchange takes of a profiled step, in ms."""

    step_ms: float
    exposed_ms: float
    """Collectives under way beside which the training thread ran no operator."""
    hidden_ms: float
    """Collectives beside which it did: they take a core and memory's bandwidth from it."""
    copied_ms: float
    """Gradients copied into the buckets that are sent, and back."""
    last_ms: float
    """Of `exposed_ms`, what only the last collective of a pass takes: with find_unused_parameters, which were used."""
    last_share: float
    """Of the time in collectives, that in the last ones of passes."""
    last_surely: float
    """The same, each taken as the shortest of them."""
    surely: float
    """Of `exposed_ms`, what would be left if each collective took as long as the shortest of its bucket: the others may
    have waited for another process."""


def accumulation(recording: Recording) -> Accumulation:
    """A pass adds to the next one's gradients where only a forward pass lies between the two."""
    spans = recording.spans
    kinds = [KIND[name] for name in _EVENTS]
    mine = np.isin(spans.kind, kinds)
    forward, backward = kinds[:2]
    sequence = list(zip(spans.kind[mine].tolist(), spans.stretch[mine].tolist(), strict=True))
    backwards = sum(kind == backward for kind, _ in sequence)
    added, last, forwards = 0, None, 0
    for kind, stretch in sequence:
        if kind == forward:
            forwards += 1
            continue
        if kind == backward and last == (backward, stretch) and forwards:
            added += 1
        last, forwards = (kind, stretch), 0
    return Accumulation(backwards, added)


def exchange(clean: Path, a_pass: int) -> Exchange | None:
    """From the clean window, `a_pass` collectives a backward pass; None where it does not show those of gradients."""
    tree = build_tree(read_trace(clean))
    rows = _of_gradients(tree)
    if not rows or not tree.steps:
        return None
    trace, main = tree.trace, tree.main_thread
    own = [i for i in range(len(tree.names)) if tree.thread[i] == main and tree.root[i] == i]
    starts = np.array([tree.start_ns[i] for i in own], dtype=np.int64)
    busy = Cover(starts, starts + np.array([tree.duration_ns[i] for i in own], dtype=np.int64))
    sent = Cover(trace.start_ns[rows].astype(np.int64), trace.ends_of(rows).astype(np.int64))
    exposed_ns = _alone_ns(sent, busy)
    copied_ns = sum(tree.duration_ns[i] for i, name in enumerate(tree.names) if name in _COPIES)
    lengths = trace.duration_ns[rows].tolist()
    apart = max(1, a_pass) if len(rows) % max(1, a_pass) == 0 else 1
    others = [row for n, row in enumerate(rows) if n % apart != apart - 1]
    without_last = Cover(trace.start_ns[others].astype(np.int64), trace.ends_of(others).astype(np.int64))
    shortest = sum(len(lengths[first::apart]) * min(lengths[first::apart]) for first in range(apart))
    last = lengths[apart - 1 :: apart]
    steps = len(tree.steps)
    return Exchange(
        step_ms=sum(step.end_ns - step.start_ns for step in tree.steps) / 1e6 / steps,
        exposed_ms=exposed_ns / 1e6 / steps,
        hidden_ms=(sent.total_ns - exposed_ns) / 1e6 / steps,
        copied_ms=copied_ns / 1e6 / steps,
        last_ms=(exposed_ns - _alone_ns(without_last, busy)) / 1e6 / steps if apart > 1 else 0.0,
        last_share=sum(last) / max(1, sum(lengths)),
        last_surely=len(last) * min(last) / max(1, sum(lengths)),
        surely=shortest / max(1, sum(lengths)),
    )


def _alone_ns(sent: Cover, busy: Cover) -> int:
    """Of the time that something is sent, that in which the training thread runs no operator."""
    return sent.total_ns - int(busy.within(sent.start, sent.end).sum())


def _of_gradients(tree: OpTree) -> list[int]:
    """Rows of the collectives that the backward engine launched; the n-th to start is the n-th that was launched."""
    trace = tree.trace
    rows: list[int] = np.flatnonzero(
        trace.annotations() & trace.matches(lambda name: _COLLECTIVE.fullmatch(name) is not None)
    ).tolist()
    launches = [i for i, name in enumerate(tree.names) if name in _LAUNCH]
    by_engine = [tree.names[tree.root[i]].startswith(_ENGINE) for i in launches]
    if all(by_engine):
        return rows
    return [row for row, mine in zip(rows, by_engine, strict=True) if mine] if len(rows) == len(launches) else []
