"""Tells the user's files from libraries by the folders that the manifest names."""

from __future__ import annotations

import os
from collections.abc import Iterable


def is_users(file: str, prefixes: Iterable[str], user_folders: Iterable[str]) -> bool:
    """Whether an absolute file name is the user's: not in a library's folder, or deeper in one of the user's."""
    library = _deepest(file, prefixes)
    return library == 0 or _deepest(file, user_folders) >= library


def is_within(path: str, folders: Iterable[str]) -> bool:
    """Whether an absolute path is one of the folders or inside one."""
    return path in folders or _deepest(path, folders) > 0


def _deepest(file: str, folders: Iterable[str]) -> int:
    return max((len(folder) for folder in folders if file.startswith(folder.rstrip(os.sep) + os.sep)), default=0)
