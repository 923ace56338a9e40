"""Writes docs/report.schema.json: the JSON Schema of report.json, made from its record types (``make docs``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from slowprobe.report.document import SCHEMA, Document

HERE = Path(__file__).resolve().parent / "report.schema.json"


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12. A number that is not finite is null in report.json, so numbers may be null."""
    made = msgspec.json.schema(Document)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"report.json of slowprobe ({SCHEMA})",
        "description": "Keys may be added; those that are there keep their names and meaning.",
        **_with_null(made),
    }


def text() -> str:
    """The file's content."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n"


def _with_null(value: Any) -> Any:
    if isinstance(value, dict):
        changed = {key: _with_null(entry) for key, entry in value.items()}
        return {**changed, "type": ["number", "null"]} if value.get("type") == "number" else changed
    if isinstance(value, list):
        return [_with_null(entry) for entry in value]
    return value


if __name__ == "__main__":
    HERE.write_text(text(), encoding="utf-8")
