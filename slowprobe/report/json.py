"""The report as data: ``report.json``, and back."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from slowprobe.errors import BadInputError
from slowprobe.report.document import SCHEMA, Document
from slowprobe.report.strings import each_string


def render(document: Document) -> str:
    """`document` as indented JSON; numbers that are not finite become null."""
    try:
        text = msgspec.json.encode(document)
    except UnicodeEncodeError:  # an undecodable byte in a path or an argument
        text = msgspec.json.encode(each_string(msgspec.to_builtins(document), _writable))
    return msgspec.json.format(text, indent=2).decode() + "\n"


def load(text: str | bytes) -> Document:
    """The document in `text`; one of another schema is a clear error."""
    try:
        data = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise BadInputError(f"This is not a slowprobe report: {error}") from error
    found = data.get("schema") if isinstance(data, dict) else None
    if found != SCHEMA:
        raise BadInputError(f"This report has the schema {found!r}; this slowprobe reads {SCHEMA!r}.")
    try:
        return msgspec.convert(_with_nan(data, inspect.type_info(Document)), Document)
    except msgspec.ValidationError as error:
        raise BadInputError(f"This is not a complete slowprobe report: {error}") from error


def _writable(text: str) -> str:
    """The same text with every lone surrogate replaced, since UTF-8 cannot hold one."""
    return text.encode("utf-8", "replace").decode()


def _with_nan(value: Any, kind: inspect.Type) -> Any:
    """The same data with NaN put back where null stands for a number that must be there."""
    if isinstance(kind, inspect.FloatType):
        return float("nan") if value is None else value
    if isinstance(kind, inspect.UnionType):
        if value is None:
            return None
        return next((_with_nan(value, option) for option in kind.types if _holds_numbers(option)), value)
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        types = {field.encode_name: field.type for field in kind.fields}
        return {key: _with_nan(item, types[key]) if key in types else item for key, item in value.items()}
    if isinstance(kind, inspect.ListType) and isinstance(value, list):
        return [_with_nan(item, kind.item_type) for item in value]
    if isinstance(kind, inspect.DictType) and isinstance(value, dict):
        return {key: _with_nan(item, kind.value_type) for key, item in value.items()}
    return value


def _holds_numbers(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.StructType | inspect.ListType | inspect.DictType)
