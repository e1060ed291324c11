"""Values inside a sentence: finds dates, times, durations and numbers, and turns them into function arguments.

A found value is replaced by a mark ("date0") before the sentence is matched against the templates, so a template says
`{date}` and never needs to know how people name a day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from device.dialog.dates import DateReading, read_date
from device.dialog.forms import Slot
from device.dialog.grammar import Grammar, Match
from device.dialog.lexicon import Lexicon
from device.dialog.times import Hours, TimeReading, choose_time, read_duration, read_time
from device.dialog.words import Tokens

KINDS = ("date", "time", "duration", "number", "code")


@dataclass(frozen=True, slots=True)
class Span:
    """A value found in the tokens.

    `reading` is a DateReading, a TimeReading, seconds, a number or digits by its kind.
    """

    kind: str
    reading: Any
    end: int


@dataclass(frozen=True, slots=True)
class Tagged:
    """The tokens with marks in the place of values."""

    tokens: Tokens
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """The present and the house's habits, by which open values are resolved."""

    now: datetime
    """With a time zone."""
    hours: Callable[[date], Hours] = lambda day: ()
    half: str = ""
    """Half of the day that was named with the date."""
    near: str = ""
    """Half of the day of the time that is being corrected."""
    day: date | None = None
    """The day already known, for a time."""


class SlotReader:
    """Finds values by a language's grammar."""

    def __init__(self, grammar: Mapping[str, Any], lexicon: Lexicon) -> None:
        rules = grammar["rules"]
        answers = grammar["answers"]
        self._lexicon = lexicon
        self._code_words = [tuple(text.split()) for text in grammar["code_words"]]
        self._grammars = {kind: Grammar(grammar[kind], rules, lexicon) for kind in ("date", "time", "duration")}
        self._answers = {kind: Grammar(entries, rules, lexicon) for kind, entries in answers.items()}

    def tag(self, tokens: Tokens, now: datetime, asked: str = "") -> Tagged:
        """Marks every value, the longest at each place; what was asked for may also be said in its short form."""
        marked: list[str] = []
        spans: list[Span] = []
        at = 0
        while at < len(tokens):
            span = self._longest(tokens, at, now.date(), asked)
            if span is None:
                marked.append(tokens[at])
                at += 1
            else:
                marked.append(f"{span.kind}{len(spans)}")
                spans.append(span)
                at = span.end
        return Tagged(tuple(marked), tuple(spans))

    def _longest(self, tokens: Tokens, at: int, today: date, asked: str) -> Span | None:
        found: list[Span] = []
        if (asked == "code" or self._names_code(tokens, at)) and (code := self._lexicon.digits(tokens, at)):
            found.append(Span("code", *code))
        if (answers := self._answers.get(asked)) is not None:
            kind = "number" if asked == "integer" else asked
            found += _spans(kind, answers.matches(tokens, at), today)
        for kind, grammar in self._grammars.items():
            found += _spans(kind, grammar.matches(tokens, at), today)
        if (number := self._lexicon.number(tokens, at)) is not None:
            found.append(Span("number", *number))
        return max(found, key=lambda span: span.end, default=None)

    def _names_code(self, tokens: Tokens, at: int) -> bool:
        """ "Code 4 2 7 1", "the code is 4 2 7 1"."""
        return any(tokens[max(0, at - len(row)) : at] == row for row in self._code_words)


def _spans(kind: str, matches: list[Match], today: date) -> list[Span]:
    readings = ((_read(kind, match, today), match.end) for match in matches)
    return [Span(kind, reading, end) for reading, end in readings if reading is not None]


def _read(kind: str, match: Match, today: date) -> Any:
    if kind == "date":
        return read_date(match, today)
    if kind == "time":
        return read_time(match)
    if kind == "duration":
        return read_duration(match)
    return match.fixed["number"]


def argument(slot: Slot, said: Span | str, moment: Moment) -> Any:
    """The JSON value of a slot, or None when what was said does not fit it."""
    if isinstance(said, str):
        return _words(slot, said)
    if slot.kind == "date" and isinstance(said.reading, DateReading):
        return said.reading.day.isoformat()
    if slot.kind == "time":
        return _time(said, moment)
    if slot.kind == "duration" and said.kind == "duration":
        return said.reading
    if slot.kind == "integer" and said.kind == "number" and isinstance(said.reading, int):
        return said.reading
    if slot.kind == "code":
        return said.reading if said.kind == "code" else None
    if slot.kind == "number" and said.kind == "number":
        return said.reading
    return None


def _words(slot: Slot, said: str) -> str | bool | None:
    if slot.kind == "choice":
        return next((option for option in slot.options if option.lower() == said), None)
    if slot.kind == "boolean":
        return {"yes": True, "no": False}.get(said)
    if slot.kind == "name":
        return " ".join(word[:1].upper() + word[1:] for word in said.split())
    return said if slot.kind == "text" else None


def _time(said: Span, moment: Moment) -> str | None:
    reading = said.reading
    if said.kind == "duration":
        # "In twenty minutes" is counted in real time, so that it is right across a change of the clocks.
        later = moment.now.astimezone(UTC) + timedelta(seconds=min(reading, 86400))
        return later.astimezone(moment.now.tzinfo).strftime("%H:%M")
    if said.kind == "number" and isinstance(reading, int) and 0 <= reading <= 24:
        reading = TimeReading(reading, 0)
    if not isinstance(reading, TimeReading):
        return None
    day = moment.day or moment.now.date()
    after = moment.now if day == moment.now.date() else None
    hours = moment.hours(day)
    chosen = choose_time(reading, half=moment.half, near=moment.near, hours=hours, after=after)
    return chosen.strftime("%H:%M")
