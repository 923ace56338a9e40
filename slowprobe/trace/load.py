"""The text of a trace file block by block, unpacked in a thread as far as it can be."""

from __future__ import annotations

import contextlib
import zlib
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from slowprobe.errors import TraceError

_inflate: Any = zlib
with contextlib.suppress(ImportError):
    from isal import isal_zlib as _inflate  # the same interface, about three times faster

_GZIP_MAGIC = b"\x1f\x8b"
_BLOCK_BYTES = 1 << 19
_PACKED_BYTES = 1 << 16
_AHEAD = 2
_HARMLESS_BYTES = 32 << 20
_MOST_RATIO = 250  # traces pack 10 to 40 times; gzip can reach 1032
_LIMIT_BYTES = 32 << 30


class _Decompressor(Protocol):
    eof: bool
    unused_data: bytes
    unconsumed_tail: bytes

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...
    def flush(self) -> bytes: ...


def is_packed(path: Path) -> bool:
    """Whether a file is gzip."""
    with path.open("rb") as file:
        return file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC


class TraceFile:
    """A plain or gzip file, read once from start to end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fault: str | None = None
        """What was wrong with the file so far."""
        self.done_bytes = 0
        """Of the file as it lies on disk."""
        self.total_bytes = 0
        self.text_bytes = 0

    def blocks(self) -> Generator[bytes, None, None]:
        """The text in blocks of at most half a MiB; raises `TraceError` when there is none, or endlessly much."""
        try:
            with self.path.open("rb") as file:
                self.total_bytes = self.path.stat().st_size
                start = file.read(_PACKED_BYTES)
                packed = start.startswith(_GZIP_MAGIC)
                for block in _ahead(self._unpacked(start, file)) if packed else self._plain(start, file):
                    self.text_bytes += len(block)
                    self._refuse_bombs(packed)
                    yield block
        except OSError as error:
            raise TraceError(f"{self.path}: cannot be read ({error.strerror or error})") from error
        if not self.text_bytes:
            raise TraceError(f"{self.path}: {self.fault or 'the file is empty'}")

    def _plain(self, block: bytes, file: BinaryIO) -> Iterator[bytes]:
        while block:
            self.done_bytes += len(block)
            yield block
            block = file.read(_BLOCK_BYTES)

    def _unpacked(self, packed: bytes, file: BinaryIO) -> Iterator[bytes]:
        stream = _new_stream()
        while packed:
            try:
                block = stream.decompress(packed, _BLOCK_BYTES)
            except (zlib.error, _inflate.error):
                share = self.done_bytes / max(1, self.total_bytes)
                self.fault = f"the gzip data is damaged; read up to about {share:.0%} of the file"
                return
            rest = stream.unused_data if stream.eof else stream.unconsumed_tail
            self.done_bytes += len(packed) - len(rest)
            if block:
                yield block
            packed = rest if len(rest) > 1 else rest + file.read(_PACKED_BYTES)
            if stream.eof:
                if not packed.startswith(_GZIP_MAGIC):
                    return  # padding after the last member
                stream = _new_stream()
        with contextlib.suppress(zlib.error, _inflate.error):
            if block := stream.flush():
                yield block
        if not stream.eof:
            self.fault = "the gzip data ends early: the file was cut off"

    def _refuse_bombs(self, packed: bool) -> None:
        if packed and self.text_bytes > max(_HARMLESS_BYTES, _MOST_RATIO * self.done_bytes):
            raise TraceError(f"{self.path}: unpacks to more than {_MOST_RATIO} times its size: not a trace")
        if self.text_bytes > _LIMIT_BYTES:
            raise TraceError(f"{self.path}: holds more than {_LIMIT_BYTES >> 30} GiB of text; record fewer steps")


def _new_stream() -> _Decompressor:
    stream: _Decompressor = _inflate.decompressobj(wbits=31)
    return stream


def _ahead(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks, made in a thread while earlier ones are used: inflating runs without the interpreter's lock."""
    with ThreadPoolExecutor(1, "inflate") as pool:
        pending = deque(pool.submit(next, blocks, b"") for _ in range(_AHEAD))
        while block := pending.popleft().result():
            pending.append(pool.submit(next, blocks, b""))
            yield block
