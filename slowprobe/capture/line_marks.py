"""Marks the user's source lines in a profiled step, so that each operator is known by the line that launched it.

``with_stack`` gives only the first line of each function, and costs more. A mark is an empty profiler range named
``slowprobe.line#LINE#FUNCTION#FILE`` (quoted: the profiler garbles some characters).
"""

from __future__ import annotations

import sys
from types import CodeType, FrameType
from typing import Any
from urllib.parse import quote

from slowprobe.capture.sites import Sites, site

MARK = "slowprobe.line"
MAX_MARKS = 30_000  # a step of pure Python makes one mark a line; beyond this the rest of the step goes unmarked
MAX_OF_LINE = 5_000  # of them, so that a key function called for each element of a list leaves marks for other lines


class LineMarks:
    """Traces the calling thread from `start` to `stop`; leaves debuggers and coverage tools alone."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._ranges: dict[tuple[CodeType, int | None], Any] = {}
        self._frames: list[FrameType] = []
        self._left = MAX_MARKS
        self._of_line: dict[tuple[CodeType, int | None], int] = {}
        self._ended = False

    def start(self) -> bool:
        """Begin to mark; False when somebody else traces this thread."""
        if sys.gettrace() is not None:
            return False
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if self._sites.is_user(frame.f_code) and frame.f_trace is None:
                frame.f_trace = self._local
                self._frames.append(frame)
            frame = frame.f_back
        sys.settrace(self._global)
        return True

    def stop(self) -> None:
        """Stop marking and leave no trace function behind."""
        if sys.gettrace() == self._global:
            sys.settrace(None)
        for frame in self._frames:
            if frame.f_trace == self._local:
                frame.f_trace = None
        self._frames.clear()

    def _global(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "call" and self._left > 0 and self._sites.is_user(frame.f_code):
            self._mark(frame)
            return self._local
        return None

    def _local(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self._mark(frame)
        elif event == "return":  # on exceptions and yields, too: the nearest user caller counts again
            caller = frame.f_back
            while caller is not None and not self._sites.is_user(caller.f_code):
                caller = caller.f_back
            if caller is not None:
                self._mark(caller)
        return self._local

    def _mark(self, frame: FrameType) -> None:
        if self._left <= 0:
            self._end()
            return
        key = (frame.f_code, frame.f_lineno)
        made = self._of_line[key] = self._of_line.get(key, 0) + 1
        if made > MAX_OF_LINE:
            return
        self._left -= 1
        try:
            mark = self._ranges.get(key)
            if mark is None:
                mark = self._ranges[key] = _named(*key)
            mark.__enter__()
            mark.__exit__(None, None, None)
        except Exception:  # it would rise from the user's line
            self._left = 0

    def _end(self) -> None:
        """What follows belongs to no line that is known; without this it would count as the last one's."""
        if not self._ended:
            self._ended = True
            try:
                import torch

                with torch._C._profiler._RecordFunctionFast(f"{MARK}#"):
                    pass
            except Exception:
                return


def _named(code: CodeType, line: int | None) -> Any:
    import torch

    place = site(code, line)
    name = f"{MARK}#{place.line}#{quote(place.function)}#{quote(place.file)}"
    return torch._C._profiler._RecordFunctionFast(name)
