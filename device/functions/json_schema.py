"""Parameters written in the configuration as JSON Schema: the subset that a voice can ask for."""

from __future__ import annotations

import datetime as dt
import inspect
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, ValidationError
from pydantic_core import SchemaError as PydanticSchemaError

from device.functions.problems import nearest, shown
from device.functions.schema import Kind, Schema, SchemaError, Slot, schema_from

_OURS: Final = ("question", "retry", "kind")
_OF_NUMBERS: Final[Mapping[str, str]] = {"minimum": "ge", "maximum": "le"}
_OF_TEXTS: Final[Mapping[str, str]] = {"minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"}
_KNOWN: Final = ("type", "format", "enum", "default", "description", *_OURS, *_OF_NUMBERS, *_OF_TEXTS)
_TYPES: Final[Mapping[str, type]] = {"string": str, "integer": int, "number": float, "boolean": bool}
_FORMATS: Final[Mapping[str, type]] = {"date": dt.date, "time": dt.time}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)


def schema_of_parameters(
    function: str, parameters: Mapping[str, Mapping[str, object]], required: tuple[str, ...]
) -> Schema:
    """The schema with slots and questions, in the order in which the parameters are written.

    Raises:
        SchemaError: the message names the parameter and says what is understood.
    """
    for name in required:
        if name not in parameters:
            meant = nearest(name, tuple(parameters))
            raise SchemaError(f"required: no parameter {name!r}" + (f"; did you mean {meant}?" if meant else ""))
    made = []
    for number, (name, written) in enumerate(parameters.items()):
        if not _NAME.fullmatch(name):
            raise SchemaError(f"parameters.{name}: a name has letters, digits and _, at most 64, a letter first")
        # A name of its own inside, since the written one may be a word that Python or pydantic keeps for itself.
        parameter = _parameter(f"argument_{number}", f"parameters.{name}", written, needed=name in required)
        made.append((parameter, name))
    try:
        schema = schema_from(function, made)
    except PydanticSchemaError as error:  # a pattern that is none
        raise SchemaError(f"parameters: {str(error).splitlines()[-1].strip()} in a pattern") from error
    for parameter, name in made:
        _check_default(schema, parameter, name)
    return schema


def _parameter(inner: str, where: str, written: Mapping[str, object], *, needed: bool) -> inspect.Parameter:
    for key in written:
        if key not in _KNOWN:
            meant = nearest(key, _KNOWN)
            clue = f"; did you mean {meant}?" if meant else f"; understood are {', '.join(_KNOWN)}"
            raise SchemaError(f"{where}: unknown key {key}{clue}")
    slot = Slot(
        question=_text(where, written, "question"),
        retry=_text(where, written, "retry"),
        kind=_slot_kind(where, written),
        description=_text(where, written, "description"),
    )
    kind = _type(where, written)
    hint: Any = Annotated[kind, Field(**_bounds(where, written, kind)), slot]
    default: Any = inspect.Parameter.empty
    if "default" in written:
        if needed:
            raise SchemaError(f"{where}: it is required, so its default is never used")
        default = written["default"]
    elif not needed:
        hint, default = _optional(hint), None
    return inspect.Parameter(inner, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _optional(hint: Any) -> Any:
    inner, *extras = get_args(hint)
    optional: Any = inner | None
    for extra in extras:
        optional = Annotated[optional, extra]
    return optional


def _type(where: str, written: Mapping[str, object]) -> Any:
    if "enum" in written:
        choices = written["enum"]
        if not isinstance(choices, list | tuple) or not choices or not all(isinstance(one, str) for one in choices):
            raise SchemaError(f'{where}: enum is a list of texts: ["small", "large"]')
        return Literal[tuple(choices)]
    kind = written.get("type", "string")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise SchemaError(f"{where}: type {shown(kind)}: can be {', '.join(_TYPES)}")
    form = written.get("format")
    if form is None:
        return _TYPES[kind]
    if kind != "string" or not isinstance(form, str) or form not in _FORMATS:
        raise SchemaError(f"{where}: format {shown(form)}: can be {' or '.join(_FORMATS)}, of type string")
    return _FORMATS[form]


def _bounds(where: str, written: Mapping[str, object], kind: Any) -> dict[str, Any]:
    fitting = _OF_NUMBERS if kind in (int, float) else _OF_TEXTS if kind is str else {}
    found: dict[str, Any] = {}
    for key in (*_OF_NUMBERS, *_OF_TEXTS):
        if key not in written:
            continue
        value = written[key]
        wanted: Any = str if key == "pattern" else int if key in _OF_TEXTS else int | float
        if key not in fitting or not isinstance(value, wanted) or isinstance(value, bool):
            raise SchemaError(f"{where}: {key} = {shown(value)} does not go with its type")
        found[fitting[key]] = value
    return found


def _slot_kind(where: str, written: Mapping[str, object]) -> Kind | None:
    kind = written.get("kind")
    if kind is None:
        return None
    known = {str(each): each for each in get_args(Kind)}
    if not isinstance(kind, str) or kind not in known:
        raise SchemaError(f"{where}: kind {shown(kind)}: can be {', '.join(known)}")
    found: Kind = known[kind]
    return found


def _text(where: str, written: Mapping[str, object], key: str) -> str:
    value = written.get(key, "")
    if not isinstance(value, str):
        raise SchemaError(f"{where}: {key} is a text")
    return value


def _check_default(schema: Schema, parameter: inspect.Parameter, name: str) -> None:
    if parameter.default in (inspect.Parameter.empty, None):
        return
    try:
        schema.model.__pydantic_validator__.validate_assignment(
            schema.model.model_construct(), parameter.name, parameter.default
        )
    except ValidationError as error:
        expected = error.errors(include_url=False)[0]["msg"]
        raise SchemaError(f"parameters.{name}: its default does not fit: {expected}") from error
