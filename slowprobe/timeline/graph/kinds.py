"""What a node of the graph can be."""

from __future__ import annotations

from slowprobe.timeline.device.rows import KINDS

HOST_KINDS = ("host", "data", "launch", "sync", "allocator", "call")
"""Python and operators between calls; asking the loader for a batch; calls that launch, wait, allocate; other calls."""
NODE_KINDS = (*HOST_KINDS, *KINDS)
"""Kinds of the host, then those of the device."""

HOST, DATA, LAUNCH, SYNC, ALLOCATOR, CALL = range(len(HOST_KINDS))
