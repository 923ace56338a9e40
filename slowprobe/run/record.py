"""What all records of a run are made of: the base of their types, and places in source code."""

from __future__ import annotations

import msgspec


class Site(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in source code; `line` is 1-based."""

    file: str
    line: int
    function: str


class RecordBase(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="t"):
    """Every journal record is a JSON object whose `t` names its type."""
