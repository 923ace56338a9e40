"""What the training thread reads from files while it makes batches itself: bytes and calls, as the kernel counts."""

from __future__ import annotations

from slowprobe.run.loader_records import LoaderReads

EVERY = 8  # batches for one that is read: two readings take 20 to 30 µs
_FILE = "/proc/thread-self/io"
_COUNTERS = ("rchar", "syscr", "read_bytes")
_Reading = tuple[int, ...]


class ThreadReads:
    """Reads the thread's counters before and after some batches of a loader. Never raises."""

    def __init__(self) -> None:
        self._batches: dict[int, int] = {}
        self._sums: dict[int, list[int]] = {}
        self._before: _Reading | None = None
        self._own = 0
        self._fails = False

    def begin(self, loader: int) -> bool:
        """A batch is about to be made; whether `end` is wanted."""
        self._batches[loader] = made = self._batches.get(loader, 0) + 1
        if self._fails or made % EVERY != 2:  # the first batch opens what is kept open
            return False
        reading = self._read()
        if reading is None:
            return False
        self._before = reading[0] + self._own, reading[1] + 1, reading[2]  # as a reading finds it that follows at once
        return True

    def end(self, loader: int, index: object) -> None:
        """It is made, of the items of `index`."""
        after, before = self._read(), self._before
        if after is None or before is None:
            return
        sums = self._sums.setdefault(loader, [0] * (2 + len(_COUNTERS)))
        items = len(index) if isinstance(index, (list, tuple)) else 1
        gained = (new - old for new, old in zip(after, before, strict=True))
        for place, value in enumerate((1, items, *gained)):
            sums[place] += value

    def take(self) -> list[LoaderReads]:
        """The records since the last call, from any thread."""
        sums, self._sums = self._sums, {}
        return [
            LoaderReads(loader=loader, batches=batches, items=items, rchar=rchar, read_calls=calls, read_bytes=stored)
            for loader, (batches, items, rchar, calls, stored) in sums.items()
        ]

    def _read(self) -> _Reading | None:
        """The counters, without this reading itself, which is `_own` bytes in one call."""
        try:
            with open(_FILE, "rb", buffering=0) as file:
                text = file.read(4096) or b""
            found = dict(line.split(b": ") for line in text.splitlines())
            rchar, calls, stored = (int(found[name.encode()]) for name in _COUNTERS)
        except (OSError, KeyError, ValueError):
            self._fails = True  # another system, or a kernel that does not count
            return None
        self._own = len(text)
        return rchar, calls, stored
