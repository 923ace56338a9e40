"""The record of what torch.compile did."""

from __future__ import annotations

from slowprobe.run.record import RecordBase


class Compilations(RecordBase, tag="compilations"):
    """What torch._dynamo noted about its compilations, read once at the end; it keeps the last few dozen.

    rows: (number such as ``0/1``, function, file, line, seconds, why it was compiled anew, whether it was the one too
    many, after which the function runs uncompiled). breaks: (reason, function, file, line, times). skipped: (function,
    file, line, reason) of what was not compiled at all.
    """

    limit: int
    """How often a function is compiled anew at most."""
    rows: list[tuple[str, str, str, int, float, str, bool]] = []
    breaks: list[tuple[str, str, str, int, int]] = []
    skipped: list[tuple[str, str, int, str]] = []
