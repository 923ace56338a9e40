"""The bytes of a trace file, unpacked as far as they can be."""

from __future__ import annotations

import contextlib
import zlib
from pathlib import Path
from typing import Any, Protocol

from slowprobe.errors import TraceError

_inflate: Any = zlib
with contextlib.suppress(ImportError):
    from isal import isal_zlib as _inflate  # the same interface, about three times faster

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK_BYTES = 1 << 20
_LIMIT_BYTES = 4 << 30  # a decoded trace needs several times its text in memory: beyond this, most machines would swap


class _Decompressor(Protocol):
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes: ...


def read_bytes(path: Path) -> tuple[bytes, list[str]]:
    """The trace text of a plain or gzip file, and what was wrong with the file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TraceError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not data:
        raise TraceError(f"{path}: the file is empty")
    if not data.startswith(_GZIP_MAGIC):
        return data, []
    text, fault = _gunzip(data, path)
    if not text:
        raise TraceError(f"{path}: the gzip data is damaged from its start")
    return text, [f"{path.name}: {fault}"] if fault else []


def _gunzip(data: bytes, path: Path) -> tuple[bytes, str | None]:
    """What could be unpacked, and why that is not everything."""
    parts: list[bytes] = []
    size = 0
    stream: _Decompressor = _inflate.decompressobj(wbits=31)
    view = memoryview(data)
    position = 0
    while position < len(data):
        chunk = bytes(view[position : position + _CHUNK_BYTES])
        position += len(chunk)
        try:
            part = stream.decompress(chunk)
        except (zlib.error, _inflate.error):
            return b"".join(parts), f"the gzip data is damaged; read up to about {position / len(data):.0%} of the file"
        parts.append(part)
        size += len(part)
        if size > _LIMIT_BYTES:
            raise TraceError(f"{path}: unpacks to more than {_LIMIT_BYTES >> 30} GiB; record fewer steps")
        if stream.eof:
            rest = len(stream.unused_data)
            position -= rest
            if not bytes(view[position : position + 2]).startswith(_GZIP_MAGIC):
                break  # padding after the last member
            stream = _inflate.decompressobj(wbits=31)
    if not stream.eof:
        return b"".join(parts), "the gzip data ends early: the file was cut off"
    return b"".join(parts), None
