"""Processes that the script starts besides the workers of its loaders: what they do is not recorded, and is said so."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

from slowprobe.capture.patches import Patches
from slowprobe.capture.probes.wrapping import like
from slowprobe.capture.sites import Sites

MAX_SITES = 5
_WORKER_MODULE = "torch.utils.data._utils.worker"


class ProcessProbe:
    """Counts ``multiprocessing`` processes by the user's line that starts them."""

    def __init__(self, sites: Sites, note: Callable[[str, str], None]) -> None:
        self._sites = sites
        self._note = note
        self._started: Counter[tuple[str, int]] = Counter()

    def attach(self, patches: Patches) -> None:
        """Wrap the start of a process."""
        from multiprocessing.process import BaseProcess

        patches.replace(BaseProcess, "start", self._wrap)

    def detach(self) -> None:
        """Say what was started."""
        for (file, line), count in self._started.most_common(MAX_SITES):
            processes = "A process was" if count == 1 else f"{count} processes were"
            self._note(
                "processes",
                f"{processes} started at {file}:{line} and not recorded. If training runs there, put "
                "@slowprobe.profile on the function that they run.",
            )

    def _wrap(self, original: Callable[[Any], None]) -> Callable[[Any], None]:
        def start(process: Any) -> None:
            with contextlib.suppress(Exception):  # what is lost is a note
                self._count(process, sys._getframe(1))
            original(process)

        return like(start, original)

    def _count(self, process: Any, caller: FrameType) -> None:
        target = getattr(process, "_target", None)
        site = self._sites.of_caller(caller)
        if site is not None and getattr(target, "__module__", None) != _WORKER_MODULE:
            self._started[site.file, site.line] += 1
