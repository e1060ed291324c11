"""Judges of what we send and imitate: the vendors' own API definitions, whole beside the checkout or small in fixtures.

A judge returns faults, one line each. The Vapi judge is stricter than the schema: a key that the schema does not know
is a fault, because the real interface answers 400 to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema

from tests.fixtures.make_vendor_schemas import TWILIO_FIXTURE, VAPI_FIXTURE, load_judge

SPECS = Path(__file__).resolve().parents[2] / "shared" / "specs"
MISSING = f"the vendors' API definitions are not at {SPECS}"
_FREE = ("metadata", "variableValues")
"""Objects of the caller's own keys."""

Schemas = Mapping[str, Any]


def have_specs() -> bool:
    return (SPECS / "vapi-openapi.json").exists()


def vapi_fixture() -> Schemas:
    return _schemas(VAPI_FIXTURE)


def vapi_whole() -> Schemas:
    judge = load_judge(SPECS)
    schemas: Schemas = judge.mend(json.loads((SPECS / "vapi-openapi.json").read_text()))["components"]["schemas"]
    return schemas


def twilio_fixture() -> Schemas:
    return _schemas(TWILIO_FIXTURE)


def judge(schemas: Schemas, name: str, value: Any) -> list[str]:
    """Faults of a JSON value by a named schema."""
    validator = jsonschema.Draft7Validator(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": dict(schemas)}}
    )
    faults = [f"{list(fault.path)} {fault.message[:200]}" for fault in validator.iter_errors(value)]
    return faults + [f"{path} is not in the schema" for path in _unknown(schemas, {"$ref": f"/{name}"}, value, "")]


def judge_form(schemas: Schemas, name: str, form: Mapping[str, str]) -> list[str]:
    """Faults of a form or a query, whose values travel as text."""
    properties = schemas[name]["properties"]
    typed = {key: _typed(text, properties.get(key, {})) for key, text in form.items()}
    return judge(schemas, name, typed)


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    if schema.get("type") == "integer":
        return int(text) if text.isdecimal() else text
    return text


def _unknown(schemas: Schemas, schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    """Paths of keys that no schema in reach knows; a schema without properties knows every key."""
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from _unknown(schemas, _items(schemas, schema), each, f"{path}/{number}")
    if not isinstance(value, dict):
        return
    known = _properties(schemas, schema)
    for key, each in value.items():
        here = f"{path}/{key}"
        if known and key not in known:
            yield here
        elif known and key not in _FREE:
            yield from _unknown(schemas, known[key], each, here)


def _items(schemas: Schemas, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in schema:
        return _items(schemas, schemas[schema["$ref"].rsplit("/", 1)[1]])
    if "items" in schema:
        found: Mapping[str, Any] = schema["items"]
        return found
    return {"anyOf": [_items(schemas, part) for part in (*schema.get("allOf", ()), *schema.get("anyOf", ()))]}


def _properties(schemas: Schemas, schema: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _properties(schemas, schemas[schema["$ref"].rsplit("/", 1)[1]])
    found = dict(schema.get("properties", {}))
    for part in (*schema.get("allOf", ()), *schema.get("anyOf", ())):
        for key, each in _properties(schemas, part).items():
            known = found.get(key, each)
            found[key] = each if known == each else {"anyOf": [known, each]}
    return found


def _schemas(path: Path) -> Schemas:
    schemas: Schemas = json.loads(path.read_text())["components"]["schemas"]
    return schemas
