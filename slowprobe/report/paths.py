"""Shows files as the user knows them: relative to the folder the run was started in."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from slowprobe.report.document import Document


def with_relative_paths(document: Document, folder: str) -> Document:
    """`document` with every path below `folder` made relative to it, in whatever text it occurs."""
    prefix = folder.rstrip(os.sep) + os.sep
    if prefix == os.sep:
        return document

    def shortened(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(prefix, "")
        if isinstance(value, dict):
            return {shortened(key): shortened(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [shortened(entry) for entry in value]
        return value

    return msgspec.convert(shortened(msgspec.to_builtins(document)), Document)
