"""Prints the configuration: valid TOML, each setting with its sentence, and which secrets are there."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from dataclasses import fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from device.config import Config
from device.secrets import NAMES, Secrets


def describe(config: Config, secrets: Secrets) -> str:
    """The settings in force. What is printed can be saved and used as a configuration file."""
    lines = ["# wakeline: the settings in force. Every line is optional.", ""]
    tables: list[tuple[str, Any]] = []
    _group("", config, lines, tables)
    while tables:
        name, group = tables.pop(0)
        lines += ["", *_comment(_summary(group)), f"[{name}]"]
        _group(name, group, lines, tables)
    lines += [
        "",
        "# Secrets never stand in this file. They are read from systemd credentials, the environment or .env:",
    ]
    lines += [f"#   {name}: {'set' if name in secrets.names() else 'not set'}" for name in NAMES]
    return "\n".join(lines)


def _group(name: str, group: Any, lines: list[str], tables: list[tuple[str, Any]]) -> None:
    notes = _sentences(type(group))
    for key, value in _items(group):
        full = f"{name}.{_key(key)}" if name else _key(key)
        if isinstance(value, BaseModel | dict) or is_dataclass(value):
            tables.append((full, value))
        elif value is None:
            lines += [*_comment(notes.get(key, "")), f"# {_key(key)} ="]
        else:
            lines += [*_comment(notes.get(key, "")), f"{_key(key)} = {_value(value)}"]


def _items(group: Any) -> list[tuple[str, Any]]:
    if isinstance(group, dict):
        return list(group.items())
    if isinstance(group, BaseModel):
        return [(name, getattr(group, name)) for name in type(group).model_fields]
    return [(entry.name, getattr(group, entry.name)) for entry in fields(group)]


def _sentences(kind: type[Any]) -> dict[str, str]:
    """The string below each field, read from the source: that is where it is written once."""
    if kind is dict:
        return {}
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for before, after in pairwise(body.body):
        if not (isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[before.target.id] = inspect.cleandoc(str(after.value.value))
    return found


def _summary(group: Any) -> str:
    return "" if isinstance(group, dict) else inspect.cleandoc(type(group).__doc__ or "")


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in text.splitlines()]


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)


def _value(value: Any) -> str:
    """TOML's strings, numbers, booleans and arrays are those of JSON."""
    if isinstance(value, Path):
        return json.dumps(str(value))
    return json.dumps(list(value) if isinstance(value, tuple) else value)
