"""Changes every string of a document's data, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def each_string(value: Any, change: Callable[[str], str]) -> Any:
    """A copy of built-in data with `change` applied to all strings in it, keys of dictionaries too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | tuple):
        return [each_string(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): each_string(item, change) for key, item in value.items()}
    return value
