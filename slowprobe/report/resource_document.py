"""The part of the result document about the machine: which cores and how much memory the run used over time."""

from __future__ import annotations

import msgspec


class Resources(msgspec.Struct, kw_only=True):
    """One entry a stretch of the run in each list, in order; `end_s` since its start.

    training_cores, worker_cores, other_cores: kept busy on the mean of the stretch, by the training process, by its
    loaders' workers, by processes that are no part of the run. training_bytes: resident memory, worker_bytes: what
    the workers have of their own, available_bytes: free on the machine; the most (of the last, the least) of a stretch.
    """

    cores: float
    """That the run may use."""
    end_s: list[float]
    training_cores: list[float]
    worker_cores: list[float]
    other_cores: list[float]
    training_bytes: list[int]
    worker_bytes: list[int]
    available_bytes: list[int]
    most_workers: int
    """At once."""
    loop_s: tuple[float, float] | None
    """When the training loop began and ended."""
    growth_bytes_s: float | None
    """Of the training process while it trains; None where it does not grow, or that is not known."""
    new_memory_bytes_s: float | None
    """Memory that was new to the training process, touched for the first time in the loop."""
    new_memory_in: str
    """The part of the step that touches most of it."""
