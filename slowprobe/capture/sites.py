"""Finds the user's own line behind a call."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from types import CodeType, FrameType, TracebackType

from slowprobe.run.schema import Site

PACKAGE = str(Path(__file__).resolve().parent.parent)
_MAX_FRAMES = 60


def library_prefixes() -> list[str]:
    """Folders whose code is not the user's: standard library, site-packages, slowprobe itself."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = {str(Path(sysconfig.get_path(name)).resolve()) for name in names}
    found |= {
        str(Path(folder).resolve()) for folder in sys.path if "site-packages" in folder or "dist-packages" in folder
    }
    return sorted(found | {PACKAGE})


class Sites:
    """Tells user code from library code; answers are remembered per file name."""

    def __init__(self) -> None:
        self._prefixes = tuple(prefix + os.sep for prefix in library_prefixes())
        self.known_files: dict[str, bool] = {}
        """What `is_user` has answered so far, by file name."""

    def is_user(self, code: CodeType) -> bool:
        """Whether `code` is neither slowprobe's nor a library's."""
        known = self.known_files.get(code.co_filename)
        if known is None:
            known = self.known_files[code.co_filename] = self.is_user_file(code.co_filename)
        return known

    def is_user_file(self, name: str) -> bool:
        """The same for a file name."""
        if name.startswith("<ipython-input"):  # a cell in a terminal; a notebook's cells have file names
            return True
        return not name.startswith("<") and not absolute(name).startswith(self._prefixes)

    def of_caller(self, frame: FrameType | None) -> Site | None:
        """The innermost user frame at or above `frame`; else the innermost one outside slowprobe; else None."""
        fallback = None
        for _ in range(_MAX_FRAMES):
            if frame is None:
                break
            code = frame.f_code
            if self.is_user(code):
                return site(code, frame.f_lineno)
            if fallback is None and not code.co_filename.startswith(PACKAGE):
                fallback = site(code, frame.f_lineno)
            frame = frame.f_back
        return fallback


def absolute(name: str) -> str:
    """`name` as an absolute path; as it is for code that has no file, or when the working directory is gone."""
    try:
        return name if name.startswith("<") else os.path.abspath(name)
    except OSError:
        return name


def site(code: CodeType, line: int | None) -> Site:
    """A `Site` for a line of `code`, its file made absolute."""
    return Site(file=absolute(code.co_filename), line=line or 0, function=code.co_qualname)


def strip_traceback(error: BaseException | None) -> None:
    """Take slowprobe's own frames out of the tracebacks of `error` and of those it was raised from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = _stripped(error.__traceback__)
        error = error.__cause__ or error.__context__


def _stripped(traceback: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(PACKAGE):
            kept.append(traceback)
        traceback = traceback.tb_next
    following: TracebackType | None = None
    for entry in reversed(kept):
        following = TracebackType(following, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return following
