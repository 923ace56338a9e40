"""Makes every string of a document safe to show: control and direction-changing characters visible, length bounded."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

LIMIT = 4_000  # characters of any one string; a renderer may cut further

# Bidirectional controls can make a path read as another one; zero-width characters hide in names.
_DIRECTION = "\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb"
_UNSAFE = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_DIRECTION}]")

_NUMBERS = {int, float, bool}
T = TypeVar("T")


def clean(text: str, limit: int = LIMIT) -> str:
    """`text` with nothing invisible in it, cut to `limit` characters."""
    if len(text) > limit:
        text = f"{text[:limit]}… ({len(text) - limit:,} more characters)"
    text = text.replace("\r\n", "\n")
    return _UNSAFE.sub(_visible, text)


def cleaned(value: T) -> T:
    """A deep copy of a document, or of any part of one, in which every string is clean."""
    return _cleaned(value)  # type: ignore[no-any-return]


def plain(text: str, limit: int = 60) -> str:
    """Untrusted text for Plotly, which would otherwise read a few HTML tags and entities in it."""
    text = " ".join(text.split())
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list | tuple):
        # Long columns of numbers (the step series) are not worth a call each.
        if value and set(map(type, value)) <= _NUMBERS:
            return list(value)
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {clean(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, msgspec.Struct):
        fields = {name: _cleaned(getattr(value, name)) for name in value.__struct_fields__}
        return type(value)(**fields)
    return value


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode has pictures of these: ␀ … ␟
    if code == 0x7F:
        return "␡"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"  # half a pair cannot be written as UTF-8
    return f"[U+{code:04X}]"
