"""What a node of the graph can be."""

from __future__ import annotations

from slowprobe.timeline.device.rows import KINDS

HOST_KINDS = ("host", "data", "launch", "sync", "allocator")
"""Python, operators and calls of no consequence; asking the loader for a batch; calls that launch, wait, allocate."""
NODE_KINDS = (*HOST_KINDS, *KINDS)
"""Kinds of the host, then those of the device."""

HOST, DATA, LAUNCH, SYNC, ALLOCATOR = range(len(HOST_KINDS))
