"""docs/report.schema.json is what report.json holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
import pytest
from report import samples

from docs.builders import DOCS, builder
from slowprobe.report import json


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    kept: dict[str, Any] = msgspec.json.decode((DOCS / "report.schema.json").read_bytes())
    return kept


def test_the_schema_is_up_to_date() -> None:
    assert (DOCS / "report.schema.json").read_text() == builder("build_schema").text(), "run `make docs`"


@pytest.mark.parametrize("name", samples.EVERY)
def test_every_report_fits_it(schema: dict[str, Any], name: str) -> None:
    jsonschema.Draft202012Validator(schema).validate(msgspec.json.decode(json.render(samples.EVERY[name]())))


def test_the_hostile_report_attacks_every_text(schema: dict[str, Any]) -> None:
    attacked = set(_attacked(samples.hostile(), ""))
    assert set(_texts(schema, schema, "")) - attacked == {".schema"}


def _texts(schema: dict[str, Any], part: dict[str, Any], path: str) -> Iterator[str]:
    """Paths of strings of which the schema leaves the value open; {key} for the keys of a mapping."""
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rsplit("/", 1)[-1]]
    for either in [*part.get("anyOf", []), *part.get("prefixItems", [])]:
        yield from _texts(schema, either, path)
    for name, inner in part.get("properties", {}).items():
        yield from _texts(schema, inner, f"{path}.{name}")
    if isinstance(inner := part.get("additionalProperties"), dict):
        yield f"{path}.{{key}}"
        yield from _texts(schema, inner, f"{path}.{{}}")
    if isinstance(inner := part.get("items"), dict):
        yield from _texts(schema, inner, path)
    if part.get("type") == "string" and not {"enum", "const"} & set(part):
        yield path


def _attacked(value: Any, path: str) -> Iterator[str]:
    """Paths at which `value` holds one of the attacks."""
    if isinstance(value, str) and any(attack in value for attack in samples.ATTACKS):
        yield path
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _attacked(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (f"{path}.{{key}}" for _ in _attacked(key, path))
            yield from _attacked(inner, f"{path}.{{}}")
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _attacked(item, path)


def test_a_report_without_a_verdict_does_not(schema: dict[str, Any]) -> None:
    document = msgspec.json.decode(json.render(samples.input_bound()))
    del document["verdict"]
    with pytest.raises(jsonschema.ValidationError, match="verdict"):
        jsonschema.Draft202012Validator(schema).validate(document)
