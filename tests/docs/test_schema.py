"""docs/report.schema.json is what report.json holds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import msgspec
import pytest
from report import samples

from slowprobe.report import json

DOCS = Path(__file__).resolve().parents[2] / "docs"


def _builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_schema", DOCS / "build_schema.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    kept: dict[str, Any] = msgspec.json.decode((DOCS / "report.schema.json").read_bytes())
    return kept


def test_the_schema_is_up_to_date() -> None:
    assert (DOCS / "report.schema.json").read_text() == _builder().text(), "run `make docs`"


@pytest.mark.parametrize("name", samples.EVERY)
def test_every_report_fits_it(schema: dict[str, Any], name: str) -> None:
    jsonschema.Draft202012Validator(schema).validate(msgspec.json.decode(json.render(samples.EVERY[name]())))


def test_a_report_without_a_verdict_does_not(schema: dict[str, Any]) -> None:
    document = msgspec.json.decode(json.render(samples.input_bound()))
    del document["verdict"]
    with pytest.raises(jsonschema.ValidationError, match="verdict"):
        jsonschema.Draft202012Validator(schema).validate(document)
