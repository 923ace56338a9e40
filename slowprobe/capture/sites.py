"""Finds the user's own line behind a call."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from types import CodeType, FrameType, TracebackType

from slowprobe.run.record import Site
from slowprobe.run.user_code import is_users, is_within

PACKAGE = str(Path(__file__).resolve().parent.parent)
_MAX_FRAMES = 60


def library_prefixes() -> list[str]:
    """Folders whose code is not the user's: standard library, site-packages, slowprobe itself, and temporary folders.

    Into the last, libraries write modules of their own making (torch_geometric, torch.compile).
    """
    return sorted({*_installed(), *_temporary_folders()})


def user_folders(script: str) -> list[str]:
    """The user's folders inside temporary ones: that of the script, what is on sys.path, a notebook's cells."""
    temporary, installed = _temporary_folders(), _installed()
    folders = {absolute(folder or os.curdir) for folder in sys.path}
    if os.path.exists(script):
        folders |= {os.path.dirname(absolute(script)), str(Path(script).resolve().parent)}
    else:  # a module: Python puts the working directory first on sys.path
        folders.add(absolute(os.curdir))
    folders |= {os.path.join(folder, f"ipykernel_{os.getpid()}") for folder in temporary}
    return sorted(folder for folder in folders if is_within(folder, temporary) and not is_within(folder, installed))


def _installed() -> set[str]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = {str(Path(sysconfig.get_path(name)).resolve()) for name in names}
    found |= {
        str(Path(folder).resolve()) for folder in sys.path if "site-packages" in folder or "dist-packages" in folder
    }
    return found | {PACKAGE}


def _temporary_folders() -> list[str]:
    """Where tempfile would put things. It is not asked: the first one who does so settles it for the script."""
    named = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    found = [folder for folder in (*named, "/tmp", "/var/tmp", "/usr/tmp") if folder and os.path.isdir(folder)]
    return sorted({absolute(folder) for folder in found} | {str(Path(folder).resolve()) for folder in found})


class Sites:
    """Tells user code from library code; answers are remembered per file name."""

    def __init__(self) -> None:
        self._prefixes, self._temporary = library_prefixes(), _temporary_folders()
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
        if name.startswith("<"):
            return False
        file = absolute(name)
        if not is_within(file, self._prefixes):
            return True
        # What is on sys.path is looked at anew: this object is older than the script's place on it.
        return is_within(file, self._temporary) and is_users(file, self._prefixes, user_folders(_main_file()))

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


def _main_file() -> str:
    return getattr(sys.modules.get("__main__"), "__file__", None) or ""


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
