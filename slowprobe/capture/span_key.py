"""One number for what a span is and what it is about."""

from __future__ import annotations

SUBJECT_BITS = 32
SUBJECT_MASK = (1 << SUBJECT_BITS) - 1


def span_key(kind: int, subject: int = 0) -> int:
    """The key of spans of `kind` about `subject`."""
    return kind << SUBJECT_BITS | subject


def subject_of(key: int) -> int:
    """The subject in a key."""
    return key & SUBJECT_MASK


def split_key(key: int) -> tuple[int, int]:
    """(kind, subject); (-1, 0) for no span."""
    return (-1, 0) if key < 0 else (key >> SUBJECT_BITS, key & SUBJECT_MASK)
