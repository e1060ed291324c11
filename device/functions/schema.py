"""What a function takes: from a typed Python signature to JSON Schema, slots with their questions, and the check."""

from __future__ import annotations

import datetime as dt
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PydanticUndefinedAnnotation, ValidationError
from pydantic import create_model as create_pydantic_model
from pydantic.alias_generators import to_camel
from pydantic.json_schema import WithJsonSchema

from device.functions.contract import Problem
from device.functions.problems import problems_of

Kind = Literal["date", "time", "duration", "integer", "number", "choice", "boolean", "name", "text", "code"]

ARGUMENTS_LIMIT = 16 * 1024
"""Characters of one call's arguments as JSON; nothing that is said is longer."""

_KINDS: tuple[tuple[type, Kind], ...] = (
    (bool, "boolean"),  # before int: a bool is one
    (dt.date, "date"),
    (dt.time, "time"),
    (int, "integer"),
    (float, "number"),
    (str, "text"),
)
_QUESTIONS: dict[Kind, str] = {
    "name": "Under which name?",
    "date": "For which day?",
    "time": "At what time?",
    "duration": "For how long?",
    "integer": "How many?",
    "code": "What is the code?",
}


class SchemaError(Exception):
    """A signature from which no schema can be made; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Written by the author of a function: `day: Annotated[date, Slot(question="For which day?")]`."""

    question: str = ""
    """Asked when the argument is missing."""
    retry: str = ""
    """Asked when the answer was not understood: other words than the first time."""
    kind: Kind | None = None
    """Only where the type does not say it: a number of seconds that people call "five minutes" is a duration."""
    description: str = ""
    """For callers that read the schema, a language model for instance."""


@dataclass(frozen=True, slots=True)
class SlotSpec:
    """One argument, ready for the dialog; in the order of the signature."""

    name: str
    """As the caller writes it (camelCase)."""
    kind: Kind
    required: bool
    question: str
    retry: str
    options: tuple[str, ...] = ()
    """For a choice."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Schema:
    """All arguments of one function."""

    model: type[BaseModel]
    slots: tuple[SlotSpec, ...]
    json_schema: dict[str, Any]

    def check(self, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Problem, ...]]:
        """Python values by parameter name, or what does not fit: one of the two is empty."""
        large = too_large(arguments)
        if large is not None:
            return {}, (large,)
        try:
            checked = self.model.model_validate(self._given(arguments))
        except ValidationError as error:
            return {}, problems_of(error, {slot.name: expected_of(slot) for slot in self.slots})
        return {name: getattr(checked, name) for name in type(checked).model_fields}, ()

    def _given(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        # Language models send null for what they leave out.
        optional = {slot.name for slot in self.slots if not slot.required}
        return {name: value for name, value in arguments.items() if value is not None or name not in optional}

    def name_of(self, parameter: str) -> str:
        """What the caller calls a parameter."""
        return self.model.model_fields[parameter].alias or parameter

    def missing(self, arguments: Mapping[str, Any]) -> tuple[SlotSpec, ...]:
        """Required slots without a value, in the order in which to ask."""
        return tuple(slot for slot in self.slots if slot.required and arguments.get(slot.name) is None)


def schema_of(function: Callable[..., Any], *, skip: frozenset[str] = frozenset()) -> Schema:
    """The schema of a function's parameters; those in `skip` are not the caller's to give."""
    try:
        return _schema_of(function, skip)
    except SchemaError as error:
        raise SchemaError(f"{function.__name__}: {error}") from error


def schema_from(name: str, parameters: Iterable[tuple[inspect.Parameter, str]]) -> Schema:
    """The schema of parameters that no Python function has: each with its annotation and the name callers write."""
    fields: dict[str, Any] = {}
    slots: list[SlotSpec] = []
    for parameter, written in parameters:
        slot, annotation = _slot(parameter, parameter.annotation, written)
        default = ... if parameter.default is parameter.empty else parameter.default
        field = Field(default, description=slot.description or None, alias=written, validate_default=True)
        fields[parameter.name] = (annotation, field)
        slots.append(slot)
    return _build(name, fields, tuple(slots))


def _schema_of(function: Callable[..., Any], skip: frozenset[str]) -> Schema:
    hints = _hints(function)
    fields: dict[str, Any] = {}
    slots: list[SlotSpec] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in skip:
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise SchemaError(f"parameter {parameter.name!r}: *args, **kwargs and positional-only ones have no name")
        if parameter.name not in hints:
            raise SchemaError(f"parameter {parameter.name!r} has no type: write {parameter.name}: str")
        slot, annotation = _slot(parameter, hints[parameter.name])
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (annotation, Field(default, description=slot.description or None))
        slots.append(slot)
    return _build(function.__name__, fields, tuple(slots))


def _build(name: str, fields: dict[str, Any], slots: tuple[SlotSpec, ...]) -> Schema:
    config = ConfigDict(extra="forbid", alias_generator=to_camel, allow_inf_nan=False)
    try:
        model: type[BaseModel] = create_pydantic_model(to_camel(name), __config__=config, **fields)
        schema = model.model_json_schema()
    except (TypeError, ValueError, NameError, PydanticUndefinedAnnotation) as error:
        raise SchemaError(str(error)) from error
    return Schema(model, slots, _plain(schema, schema.get("$defs", {})))


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise SchemaError(f"an annotation cannot be read: {error}") from error


def _slot(parameter: inspect.Parameter, hint: Any, name: str = "") -> tuple[SlotSpec, Any]:
    """The slot and the annotation that pydantic checks; `name` is what the caller writes, if it is not derived."""
    name = name or to_camel(parameter.name)
    base, extras = (get_args(hint)[0], get_args(hint)[1:]) if get_origin(hint) is Annotated else (hint, ())
    written = next((extra for extra in extras if isinstance(extra, Slot)), Slot())
    rest = tuple(extra for extra in extras if not isinstance(extra, Slot))
    inner, optional = _without_none(base)
    kind, options = _kind(parameter.name, inner)
    checked: Any = inner
    for extra in rest:
        checked = Annotated[checked, extra]
    checked = _checked(checked, kind)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name).lower()
    kind = written.kind or kind
    question = written.question or _QUESTIONS.get(kind, f"What is the {words}?")
    slot = SlotSpec(
        name=name,
        kind=kind,
        required=parameter.default is parameter.empty,
        question=question,
        retry=written.retry or f"Sorry, I did not get the {words}. {question}",
        options=options,
        description=written.description,
    )
    return slot, checked | None if optional else checked


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in (Union, UnionType):
        return hint, False
    members = [member for member in get_args(hint) if member is not NoneType]
    if len(members) != 1:
        raise SchemaError(f"{hint}: only `X | None` can be asked for, not a choice of types")
    return members[0], True


def _kind(name: str, hint: Any) -> tuple[Kind, tuple[str, ...]]:
    if get_origin(hint) is Literal:
        return "choice", tuple(str(choice) for choice in get_args(hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "choice", tuple(str(member.value) for member in hint)
    for known, kind in _KINDS:
        if hint is known:
            return kind, ()
    raise SchemaError(
        f"parameter {name!r}: {hint!r} cannot be asked for; use str, int, float, bool, date, time, Literal or an Enum"
    )


def _read_date(value: Any) -> Any:
    # Only the one form of the contract: pydantic would also take a timestamp for a day.
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        return dt.date.fromisoformat(value)
    raise ValueError("not a date")


def _read_time(value: Any) -> Any:
    # Callers send seconds although nobody asked them to; anything but zero would be lost, so only zero passes.
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d(:00)?", value, re.ASCII):
        return dt.time.fromisoformat(value)
    raise ValueError("not a time")


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("not a number")
    return value


def _sound_text(value: Any) -> Any:
    if isinstance(value, str):
        value.encode()  # a lone surrogate is no text: the store could not keep it
    return value


_DATE = {"type": "string", "format": "date", "pattern": r"^\d{4}-\d{2}-\d{2}$"}
_TIME = {"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d$"}


def _checked(hint: Any, kind: Kind) -> Any:
    if kind == "date":
        return Annotated[hint, BeforeValidator(_read_date), WithJsonSchema(_DATE)]
    if kind == "time":
        return Annotated[hint, BeforeValidator(_read_time), WithJsonSchema(_TIME)]
    if kind in ("integer", "number"):
        return Annotated[hint, BeforeValidator(_no_bool)]
    if kind == "text":
        return Annotated[hint, BeforeValidator(_sound_text)]
    return hint


def expected_of(slot: SlotSpec) -> str:
    """What it wants, in words."""
    words: dict[Kind, str] = {
        "date": "a date as YYYY-MM-DD",
        "time": "a time as HH:MM, 24 hours",
        "duration": "a whole number of seconds",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "choice": "one of " + ", ".join(slot.options),
        "name": "a name",
        "text": "a text",
        "code": "digits",
    }
    return words[slot.kind]


def too_large(arguments: Mapping[str, Any]) -> Problem | None:
    """Whether anybody could mean that many arguments; before they are looked at one by one."""
    try:
        size = len(json.dumps(dict(arguments)))
    except (TypeError, ValueError, RecursionError):
        return Problem("arguments", "a JSON object", "something else")
    if size > ARGUMENTS_LIMIT:
        return Problem("arguments", f"at most {ARGUMENTS_LIMIT} characters", f"{size} characters")
    return None


def _plain(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Without titles, references and null variants: tool definitions want the plain form."""
    if isinstance(schema, list):
        return [_plain(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        schema = {**definitions[name], **{key: value for key, value in schema.items() if key != "$ref"}}
    variants = [variant for variant in schema.get("anyOf", ()) if variant != {"type": "null"}]
    if len(variants) == 1:
        schema = {**variants[0], **{key: value for key, value in schema.items() if key != "anyOf"}}
        return _plain(schema, definitions)
    dropped = {"$defs", "title"} if "type" in schema or "enum" in schema or "const" in schema else {"$defs"}
    plain = {key: _plain(value, definitions) for key, value in schema.items() if key not in dropped}
    if plain.get("default", ...) is None:
        del plain["default"]
    return plain
