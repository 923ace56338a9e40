"""Shows files as the user knows them: relative to the folder the run was started in."""

from __future__ import annotations

import os

import msgspec

from slowprobe.report.document import Document
from slowprobe.report.strings import each_string


def with_relative_paths(document: Document, folder: str) -> Document:
    """`document` with every path below `folder` made relative to it, in whatever text it occurs."""
    prefix = folder.rstrip(os.sep) + os.sep
    if prefix == os.sep:
        return document
    data = each_string(msgspec.to_builtins(document), lambda text: text.replace(prefix, ""))
    return msgspec.convert(data, Document)
