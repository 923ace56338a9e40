"""How long the interpreter lock is held: what a thread beside the training thread waits for it."""

from __future__ import annotations

from slowprobe.run.sample_records import LockWaits

MAX_ROWS = 3_000  # of a run; minutes of training, and its mean no longer changes


class LockWaitLog:
    """Rows (when the lock was asked for, by how much later it came), from and to the background thread."""

    def __init__(self, origin_ns: int) -> None:
        self._origin_ns = origin_ns
        self._rows: list[tuple[int, int]] = []
        self._left = MAX_ROWS

    def add(self, due_ns: int, now_ns: int) -> None:
        """It was asked for at `due_ns` and had now."""
        if self._left:
            self._left -= 1
            self._rows.append((due_ns - self._origin_ns, max(0, now_ns - due_ns)))

    def take(self) -> list[LockWaits]:
        """The record of the rows since the last call; none without rows."""
        rows, self._rows = self._rows, []
        return [LockWaits(at=[at for at, _ in rows], late=[late for _, late in rows])] if rows else []
