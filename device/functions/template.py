"""The sentence about a backend's answer: from a template in the configuration, or a plain one of our own. Pure.

{name}             the value in words: dates and times as people say them, lists as "a or b"
{name?this|that}   this when there is something and it is true, else that
[, under {name}]   left out when one of its names has no value
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final

from device.functions.wording import clock_time, full_date, listed

LONGEST: Final = 500
"""Characters of a sentence; nobody listens to more."""
_SPOKEN_ITEMS: Final = 3
_NAME: Final = r"[A-Za-z][A-Za-z0-9_]*"
_FIELD: Final = re.compile(rf"\{{({_NAME})(?:\?([^{{}}|\[\]]*)\|([^{{}}|\[\]]*))?\}}", re.ASCII)
_PART: Final = re.compile(r"\[([^\[\]]*)\]")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:00)?", re.ASCII)


def names_in(template: str) -> frozenset[str]:
    """The names it uses; raises ValueError when it cannot be read."""
    if re.search(r"[{}\[\]]", _FIELD.sub("", _PART.sub(r"\1", template))):
        raise ValueError("write {name}, {name?yes|no} and [a part that can be left out]")
    return frozenset(found[1] for found in _FIELD.finditer(template))


def filled(template: str, values: Mapping[str, Any]) -> str:
    """The sentence; empty when a name outside of [ ] has no value."""
    said = {name: spoken(value) for name, value in values.items()}

    def part(found: re.Match[str]) -> str:
        return found[1] if all(told(field) for field in _FIELD.finditer(found[1])) else ""

    def told(field: re.Match[str]) -> bool:
        return field[2] is not None or bool(said.get(field[1]))

    def field(found: re.Match[str]) -> str:
        if found[2] is None:
            return said[found[1]]
        return found[2] if values.get(found[1]) else found[3]

    template = _PART.sub(part, template)
    if not all(told(found) for found in _FIELD.finditer(template)):
        return ""
    return one_line(_FIELD.sub(field, template))


def plain_sentence(value: Mapping[str, Any]) -> str:
    """What can be said of a result that nobody gave words for; empty when that is nothing."""
    if not isinstance(value.get("available"), bool):
        return ""
    if value["available"]:
        return "Yes, that time is free."
    following = spoken(value.get("nextSlots"))
    return "Sorry, that time is taken." + (f" The next free time is {following}." if following else "")


def spoken(value: Any) -> str:
    """A value in words; empty for what has none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return listed([text for text in (spoken(each) for each in value[:_SPOKEN_ITEMS]) if text], "or")
    if isinstance(value, Mapping):
        parts = [spoken(value.get(key)) for key in ("date", "time")]
        return " at ".join(part for part in parts if part)
    return _text(str(value))


def one_line(text: str) -> str:
    """Foreign text as it may be spoken and shown: printable, on one line, not endless."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    clean = clean.encode("utf-8", "ignore").decode()
    return clean if len(clean) <= LONGEST else clean[: LONGEST - 3] + "..."


def _text(text: str) -> str:
    if _DATE.fullmatch(text):
        try:
            return full_date(dt.date.fromisoformat(text))
        except ValueError:
            return text
    return clock_time(dt.time.fromisoformat(text)) if _TIME.fullmatch(text) else one_line(text)
