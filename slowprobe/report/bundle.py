"""Plotly's JavaScript as it is put into a report: compressed, and named by its hash for the content security policy."""

from __future__ import annotations

import base64
import gzip
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import msgspec

from slowprobe.errors import SlowprobeError
from slowprobe.report import kept

LEVEL = 6  # 0.15 s; 9 takes longer and saves 0.2 %


class Bundle(msgspec.Struct, frozen=True):
    """The compressed script as base64 text, and the hash of the script once it is unpacked."""

    packed: str
    csp_hash: str


def csp_hash(script: str | bytes) -> str:
    """The source expression that allows exactly this inline script."""
    source = script.encode() if isinstance(script, str) else script
    return f"'sha256-{base64.b64encode(hashlib.sha256(source).digest()).decode()}'"


@cache
def plotly() -> Bundle:
    """The bundle of the installed plotly, read without importing plotly (which is slow)."""
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise SlowprobeError("The HTML report needs plotly, which is not installed: pip install plotly")
    path = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    about = path.stat()
    key = kept.key("plotly", str(path), about.st_size, about.st_mtime_ns, LEVEL)
    known = kept.read(key)
    if known is not None:
        return msgspec.msgpack.decode(known, type=Bundle)
    source = path.read_bytes()
    packed = base64.b64encode(gzip.compress(source, LEVEL, mtime=0)).decode()
    bundle = Bundle(packed=packed, csp_hash=csp_hash(source))
    kept.write(key, msgspec.msgpack.encode(bundle))
    return bundle
