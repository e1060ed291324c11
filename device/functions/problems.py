"""Says what is wrong with a value in words: from pydantic's errors to the contract's `Problem`s."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from device.functions.contract import Problem

_SHOWN = 40
_TYPE_ERRORS = ("_type", "_parsing", "_from_float", "_unicode")


def problems_of(error: ValidationError, expected: Mapping[str, str]) -> tuple[Problem, ...]:
    """One problem a field, in the order of the fields; `expected` says in words what each field wants."""
    found: dict[str, Problem] = {}
    for detail in error.errors(include_url=False):
        problem = _problem(detail, expected)
        found.setdefault(problem.field, problem)
    return tuple(found.values())


def shown(value: Any) -> str:
    """A value as it may stand in a message: short, on one line, always encodable."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    text = ascii(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def nearest(name: str, known: tuple[str, ...]) -> str | None:
    """The known name that was probably meant."""
    close = difflib.get_close_matches(name.casefold(), [item.casefold() for item in known], n=1, cutoff=0.6)
    return next((item for item in known if close and item.casefold() == close[0]), None)


def _problem(detail: ErrorDetails, expected: Mapping[str, str]) -> Problem:
    field = ".".join(str(part) for part in detail["loc"]) or "arguments"
    top = str(detail["loc"][0]) if detail["loc"] else ""
    wanted = expected.get(top, "")
    if detail["type"] == "missing":
        return Problem(field, wanted, "nothing")
    if detail["type"] == "extra_forbidden":
        meant = nearest(field, tuple(expected))
        hint = f"no such argument; did you mean {meant}?" if meant else "no such argument"
        return Problem(shown(field).strip("'"), hint, shown(detail["input"]))
    if detail["type"] != "value_error" and not detail["type"].endswith(_TYPE_ERRORS):
        # A bound of the author (at most 12): pydantic's own words say it best.
        message = detail["msg"].replace("Input should be ", "")
        if detail["type"] not in ("literal_error", "enum"):
            wanted = f"{wanted}, {message[0].lower()}{message[1:]}"
    return Problem(field, wanted, shown(detail["input"]))
