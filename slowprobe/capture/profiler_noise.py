"""Keeps lines that the profiler library itself writes to stderr out of the user's."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

# torch 2.13: one line at each start and stop, whatever KINETO_LOG_LEVEL says; another when the disk is full
_NOISE = (b"USDT:", b"output_json.cpp")


@contextlib.contextmanager
def without_profiler_noise() -> Iterator[None]:
    """Hold stderr back for the few milliseconds of a profiler start or stop; what others wrote then is passed on."""
    try:
        saved = os.dup(2)
    except OSError:  # the script has closed its stderr
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held:
                if not any(word in line for word in _NOISE):
                    os.write(2, line)
