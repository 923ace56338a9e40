"""What takes long to make and is the same for every report, kept in the user's cache folder between commands.

Nothing depends on it: without a folder that can be written, or with a damaged one, everything is made afresh.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from pathlib import Path

from jinja2 import BytecodeCache
from jinja2 import __version__ as jinja_version
from jinja2.bccache import Bucket

_DIGEST_BYTES = 32
_KEPT_DAYS = 90  # then it is made afresh once; what other releases left behind goes for good


def key(*parts: object) -> str:
    """A file name for what was made from all of these."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def read(name: str) -> bytes | None:
    """What was kept under this name; None when nothing whole was."""
    folder = _folder()
    if folder is None:
        return None
    try:
        data = (folder / name).read_bytes()
    except OSError:
        return None
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def write(name: str, content: bytes) -> None:
    """Keeps it under this name, if that can be done."""
    folder = _folder()
    if folder is None:
        return
    new = folder / f"{name}.{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.write_bytes(hashlib.sha256(content).digest() + content)
        new.replace(folder / name)  # another process sees all of it or nothing
        _forget_old(folder)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()


def _forget_old(folder: Path) -> None:
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > _KEPT_DAYS * 86_400:
            path.unlink(missing_ok=True)


class KeptTemplates(BytecodeCache):
    """Jinja's compiled templates; `settings` is whatever else than their text they depend on."""

    def __init__(self, *settings: object) -> None:
        self._settings = (*settings, jinja_version, sys.version)

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fills in what is known."""
        known = read(self._name(bucket))
        if known is not None:
            bucket.bytecode_from_string(known)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keeps it."""
        write(self._name(bucket), bucket.bytecode_to_string())

    def _name(self, bucket: Bucket) -> str:
        return key("template", bucket.key, bucket.checksum, *self._settings)


def _folder() -> Path | None:
    """The cache folder; None where there is none, or where it belongs to another user, who could put code into it."""
    try:
        base = os.environ.get("XDG_CACHE_HOME")
        folder = (Path(base) if base else Path.home() / ".cache") / "slowprobe"
        if folder.exists() and hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
            return None
    except (OSError, RuntimeError):  # no home
        return None
    return folder if folder.is_absolute() else None
