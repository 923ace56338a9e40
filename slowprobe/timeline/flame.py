"""The stacks of the training loop as one tree: what was called from where, and for how long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from slowprobe.timeline.hotspots import MIN_SAMPLES
from slowprobe.timeline.recording import Frame, Recording, SampleRow

MIN_SHARE = 0.003  # of the loop: half a millimetre of a page, and a handful of samples
MAX_NODES = 400
MAX_DEPTH = 60

# Of torch: each only calls the next, and a model of ten modules would stand thirty levels deep.
_PASSING = (
    "Module._wrapped_call_impl",
    "Module._call_impl",
    "_disable_dynamo.<locals>.inner",
    "Optimizer.profile_hook_step.<locals>.wrapper",
    "_use_grad_for_differentiable.<locals>._use_grad",
    "context_decorator.<locals>.decorate_context",
)

Label = tuple[str, str]
"""Scope and bucket."""


@dataclass
class Call:
    """A line of a function, called from the lines above it; the root is the loop.

    seconds: with all that it calls, so that the lines of each bucket add up to the bucket.
    """

    frame: Frame | None
    users: bool = True
    buckets: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: dict[Frame, Call] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """In the line and below it."""
        return sum(self.buckets.values())

    @property
    def bucket(self) -> str:
        """The part of the step that most of it belongs to."""
        return max(sorted(self.buckets), key=lambda name: self.buckets[name]) if self.buckets else ""


def flame(
    recording: Recording,
    label_of: Callable[[SampleRow], Label],
    seconds: dict[Label, float],
    is_user: Callable[[str], bool],
) -> Call:
    """Of the samples in the loop, weighted so that every bucket adds up to its exact `seconds`.

    The frames above the first line of the user's (what started the script) are left out, those of torch that only call
    the next, and what takes less than 0.3 % of the loop.
    """
    rows: dict[Label, list[SampleRow]] = defaultdict(list)
    for row in recording.sampled.rows:
        label = label_of(row)
        if label[0] in ("step", "off_step") and label[1] != "slowprobe":
            rows[label].append(row)
    root = Call(None)
    for label, members in rows.items():
        sampled_ns = sum(row.wall_ns for row in members)
        if sum(row.count for row in members) < MIN_SAMPLES or not sampled_ns:
            continue
        scale = seconds.get(label, 0.0) / sampled_ns
        for row in members:
            _add(root, _from_user(recording.sampled.stack(row.stack), is_user), label[1], row.wall_ns * scale, is_user)
    return _pruned(root)


def _from_user(stack: tuple[Frame, ...], is_user: Callable[[str], bool]) -> tuple[Frame, ...]:
    first = next((index for index, frame in enumerate(stack) if is_user(frame.file)), len(stack))
    return tuple(frame for frame in stack[first:] if frame.function not in _PASSING)[:MAX_DEPTH]


def _add(root: Call, stack: tuple[Frame, ...], bucket: str, seconds: float, is_user: Callable[[str], bool]) -> None:
    root.buckets[bucket] += seconds
    node = root
    for frame in stack:
        node = node.calls.setdefault(frame, Call(frame, is_user(frame.file)))
        node.buckets[bucket] += seconds


def _pruned(root: Call) -> Call:
    every = sorted((node.seconds for node in walk(root)), reverse=True)
    least = max(MIN_SHARE * root.seconds, every[MAX_NODES] if len(every) > MAX_NODES else 0.0)
    for node in list(walk(root)):
        node.calls = {frame: call for frame, call in node.calls.items() if call.seconds > least}
    return root


def walk(node: Call) -> Iterator[Call]:
    """A call and all below it."""
    yield node
    for call in node.calls.values():
        yield from walk(call)
