"""A progress bar on stderr, for work that turns out to take a while."""

from __future__ import annotations

import contextlib
import sys
import threading
from types import TracebackType
from typing import Any

AFTER_S = 2.0  # shorter work needs no bar, and one that flashes by is noise


class Progress:
    """Counts stages; draws them once `AFTER_S` have passed, and only on a terminal.

    with Progress(3) as progress:
        progress.stage("Reading")  # …
    """

    def __init__(self, stages: int, after_s: float = AFTER_S) -> None:
        self._stages = stages
        self._after_s = after_s
        self._done = 0
        self._part = 0.0
        self._text = ""
        self._timer: threading.Timer | None = None
        self._bar: Any = None
        self._task: Any = None
        self._ended = False
        self._lock = threading.Lock()

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            self._timer = threading.Timer(self._after_s, self._show)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._ended = True
            if self._timer is not None:
                self._timer.cancel()
            if self._bar is not None:
                self._bar.stop()

    def stage(self, text: str) -> None:
        """What is done from now on."""
        with self._lock:
            self._text = text
            self._draw()

    def done(self) -> None:
        """One stage is over."""
        with self._lock:
            self._done, self._part = self._done + 1, 0.0
            self._draw()

    def part(self, done: int, total: int) -> None:
        """How much of the stage is over."""
        with self._lock:
            self._part = min(1.0, done / total) if total > 0 else 0.0
            self._draw()

    def more(self, stages: int) -> None:
        """There are so many more stages than was known."""
        with self._lock:
            self._stages += stages
            self._draw()

    def _draw(self) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done + self._part, total=self._stages, description=self._text)

    def _show(self) -> None:
        """On the timer's thread: a bar that cannot be drawn costs nothing else."""
        with contextlib.suppress(Exception):
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn
            from rich.progress import Progress as Bar

            with self._lock:
                if self._ended:
                    return
                columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
                bar = Bar(*columns, console=Console(stderr=True), transient=True)
                self._task = bar.add_task(self._text, total=self._stages)
                bar.start()
                self._bar = bar
                self._draw()
