"""What a trace says of the device itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slowprobe.trace.reader import Trace

_TENSOR_CORES_SINCE = (7, 0)
"""NVIDIA: since Volta (docs.nvidia.com, GPU Performance Background User's Guide)."""
_MATRIX_CORES_SINCE = (9, 4)
"""AMD: gfx942 and later by number; before, 9.0 is both the MI200 series, with them, and Vega, without."""
_MATRIX_CORES = ("MI100", "MI2", "MI3", "MI4")


@dataclass(frozen=True, slots=True)
class Hardware:
    """One device; None for what the trace does not tell."""

    name: str | None
    capability: tuple[int, int] | None
    """Compute capability, of NVIDIA devices."""
    has_tensor_cores: bool | None
    """Matrix cores on AMD."""
    memory_bytes: int | None


def hardware(trace: Trace, device: int) -> Hardware:
    """The device of this number."""
    listed = trace.header.get("devices")
    known = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    about = next((each for each in known if each.get("id") == device), known[0] if len(known) == 1 else {})
    name = str(about["name"]) if about.get("name") else None
    major, minor = _integer(about.get("computeMajor")), _integer(about.get("computeMinor"))
    version = None if major is None or minor is None else (major, minor)
    memory_bytes = _integer(about.get("totalGlobalMem"))
    if any(each.startswith("hip") for each in trace.names) or (name or "").startswith("AMD"):
        return Hardware(name, None, _has_matrix_cores(name, version), memory_bytes)
    return Hardware(name, version, _has_tensor_cores(name, version), memory_bytes)


def _has_tensor_cores(name: str | None, version: tuple[int, int] | None) -> bool | None:
    if version is None:
        return None
    return version >= _TENSOR_CORES_SINCE and "GTX 16" not in (name or "")  # the one Turing series without


def _has_matrix_cores(name: str | None, version: tuple[int, int] | None) -> bool | None:
    if any(part in (name or "") for part in _MATRIX_CORES) or (version or (0, 0)) >= _MATRIX_CORES_SINCE:
        return True if version is None or version < (10, 0) else None
    return None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
