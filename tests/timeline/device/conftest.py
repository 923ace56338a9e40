"""Where the real traces of other people are, if they are anywhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from slowprobe.timeline.device.facts import DeviceFacts, device_facts
from slowprobe.trace.reader import Trace, read_trace

SHARED = Path(os.environ.get("SLOWPROBE_TRACES") or Path(__file__).parents[4] / "shared" / "traces")


@cache
def _read(path: Path) -> tuple[Trace, DeviceFacts | None]:
    trace = read_trace(path)
    return trace, device_facts(trace)


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("../shared/traces is absent (or name its place in SLOWPROBE_TRACES)")
    return SHARED


@pytest.fixture(scope="session")
def real(shared: Path) -> Callable[[str], tuple[Trace, DeviceFacts | None]]:
    """Trace and facts of a real trace, by its path below the folder."""

    def read(name: str) -> tuple[Trace, DeviceFacts | None]:
        path = shared / name
        if not path.exists():
            pytest.skip(f"no real trace at {name}")
        return _read(path)

    return read
