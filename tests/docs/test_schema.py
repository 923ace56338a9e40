"""docs/report.schema.json is what report.json holds."""

from __future__ import annotations

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


def test_a_report_without_a_verdict_does_not(schema: dict[str, Any]) -> None:
    document = msgspec.json.decode(json.render(samples.input_bound()))
    del document["verdict"]
    with pytest.raises(jsonschema.ValidationError, match="verdict"):
        jsonschema.Draft202012Validator(schema).validate(document)
