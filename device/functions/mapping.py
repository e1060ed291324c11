"""Between our names and a backend's: arguments into path, query or body, and its answer into our result. Pure."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from device.functions.contract import BadArguments, Problem

IN_PATH: Final = re.compile(r"\{([A-Za-z][A-Za-z0-9_]*)\}", re.ASCII)
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Target:
    """Where one call goes."""

    path: str
    """Percent-encoded, with its query."""
    body: bytes | None
    """JSON, or None where the arguments are in the query."""


def target_of(method: str, path: str, renamed: Mapping[str, str], arguments: Mapping[str, Any]) -> Target:
    """The arguments in the path fill it; the others are the query of a GET, and JSON for every other method."""
    used = set(IN_PATH.findall(path))
    filled = IN_PATH.sub(lambda found: _segment(found[1], arguments.get(found[1])), path)
    rest = {renamed.get(name, name): value for name, value in arguments.items() if name not in used}
    rest = {name: value for name, value in rest.items() if value is not None}
    if method != "GET":
        return Target(filled, json.dumps(rest).encode())
    query = urlencode({name: _text(value) for name, value in rest.items()})
    return Target(filled + ("&" if "?" in filled else "?") * bool(query) + query, None)


def json_value(value: Any) -> Any:
    """An argument as it is sent: days as YYYY-MM-DD, times as HH:MM."""
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, dt.time):
        return f"{value:%H:%M}"
    return value


def result_of_answer(answer: Any, mapping: Mapping[str, str]) -> dict[str, Any]:
    """Our names for what the backend answered; without a mapping the object as it is, or `{"result": ...}`.

    Raises:
        LookupError: the answer has nothing of what the mapping names.
    """
    if not mapping:
        return dict(answer) if isinstance(answer, Mapping) else {"result": answer}
    found = {name: _at(answer, path) for name, path in mapping.items()}
    if all(value is _MISSING for value in found.values()):
        raise LookupError(f"none of {', '.join(mapping.values())}")
    return {name: _shaped(name, mapping[name], value) for name, value in found.items()}


def _shaped(name: str, path: str, value: Any) -> Any:
    """`nextSlots = "nextSlot"` asks for a list of what the backend has one of, or none."""
    value = None if value is _MISSING else value
    if name != path.rpartition(".")[2] + "s" or isinstance(value, list):
        return value
    return [] if value is None or value == "" else [value]


def _at(answer: Any, path: str) -> Any:
    """What is there under "slot.start" or "slots.0.start"."""
    for step in path.split("."):
        if isinstance(answer, Mapping) and step in answer:
            answer = answer[step]
        elif isinstance(answer, list) and step.isascii() and step.isdecimal() and int(step) < len(answer):
            answer = answer[int(step)]
        else:
            return _MISSING
    return answer


def _segment(name: str, value: Any) -> str:
    # An empty segment or dots would be another path than the one in the configuration.
    text = "" if value is None else _text(value)
    if not text.strip("."):
        raise BadArguments((Problem(name, "something that can stand in an address", repr(text)),))
    return quote(text, safe="")


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
