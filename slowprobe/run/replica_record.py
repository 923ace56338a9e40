"""The record of models that are trained on several processes."""

from __future__ import annotations

from slowprobe.run.record import RecordBase, Site


class Replicas(RecordBase, tag="replicas"):
    """The models that DistributedDataParallel wraps, read now and then; the last record counts.

    With several models the counts are those of all together, and the settings those of the first.
    """

    at_ns: int
    models: int
    site: Site | None = None
    """Where the (first) model was wrapped."""
    world_size: int = 1
    backwards: int = 0
    """Backward passes while a model was wrapped."""
    synced: int = 0
    """Of those, with an exchange of gradients: the forward pass before was not under ``no_sync()``."""
    find_unused: bool = False
    static_graph: bool = False
    same_graph: bool | None = None
    """Whether the reducer found the same parameters unused in every pass; None where it does not say."""
    unused_bytes: int = 0
    """Of the parameters that it found unused in the latest pass that it looked at."""
    parameter_bytes: int = 0
    buckets: int = 0
