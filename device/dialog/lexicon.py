"""The meaning of single words: numbers, ordinals, weekdays, months, halves of the day, units."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from device.dialog.words import Tokens

Found = tuple[Any, int]
"""A value and the position behind its last word."""

_CLOCK = re.compile(r"(\d{1,2})[:.](\d{2})")
_HHMM = re.compile(r"(\d{1,2})(\d{2})")
_FEWEST_DIGITS = 4
_MOST_DIGITS = 12
_DECIMAL = re.compile(r"\d{1,5}(?:\.\d)?")


class Lexicon:
    """Reads one capital word of the grammar ("HOUR", "ORD") at a position in the tokens."""

    def __init__(self, words: Mapping[str, Any]) -> None:
        self._cardinals: dict[str, int] = words["cardinals"]
        self._multipliers: dict[str, int] = words["multipliers"]
        self._joiners = frozenset(words["number_joiners"])
        self._zeros = frozenset(words["zeros"])
        self._ordinals: dict[str, int] = words["ordinals"]
        self._endings: tuple[str, ...] = tuple(words["ordinal_endings"])
        self._tables: dict[str, dict[str, Any]] = {
            "WEEKDAY": _positions(words["weekdays"], 0),
            "MONTH": _positions(words["months"], 1),
            "HALF": words["halves"],
            "UNIT": words["units"],
            "CAL": words["calendar_units"],
        }
        self._readers = {
            "NUM": self.number,
            "ORD": self._ordinal,
            "DAY": self._day,
            "YEAR": self._year,
            "HOUR": self._hour,
            "MIN": self._min,
            "MINUTES": self._minutes,
            "CLOCK": _clock,
            "HHMM": _hhmm,
            "ISO": _iso,
        }

    def read(self, atom: str, tokens: Tokens, at: int) -> Found | None:
        """The value of that kind that begins at the position."""
        if at >= len(tokens):
            return None
        if (table := self._tables.get(atom)) is not None:
            return (table[tokens[at]], at + 1) if tokens[at] in table else None
        return self._readers[atom](tokens, at)

    def knows(self, atom: str) -> bool:
        """True for a capital word that `read` understands."""
        return atom in self._tables or atom in self._readers

    def number(self, tokens: Tokens, at: int) -> Found | None:
        """A cardinal in digits or words, as long as possible: "one hundred and twenty five"."""
        if _DECIMAL.fullmatch(tokens[at]):
            return (float(tokens[at]) if "." in tokens[at] else int(tokens[at])), at + 1
        total, part, end = 0, self._cardinals.get(tokens[at]), at + 1
        if part is None:
            return None
        while end < len(tokens):
            word = tokens[end]
            if (factor := self._multipliers.get(word)) is not None and part:
                total, part, end = total + part * factor, 0, end + 1
                continue
            skip = 1 if word in self._joiners and total and not part else 0
            unit = self._cardinals.get(tokens[end + skip]) if end + skip < len(tokens) else None
            if unit is None or not _continues(part, unit, after_multiplier=bool(total)):
                break
            part, end = part + unit, end + skip + 1
        return total + part, end

    def digits(self, tokens: Tokens, at: int) -> Found | None:
        """At least four digits in a row, written or said in any grouping: "4271", "4 2 7 1", "forty two seven one"."""
        found, end = "", at
        while end < len(tokens) and len(found) < _MOST_DIGITS:
            if tokens[end] in self._zeros:
                found, end = found + "0", end + 1
            elif tokens[end].isdecimal():
                found, end = found + tokens[end], end + 1
            elif (number := self.number(tokens, end)) and isinstance(number[0], int):
                found, end = found + str(number[0]), number[1]
            else:
                break
        return (found, end) if len(found) >= _FEWEST_DIGITS else None

    def _ordinal(self, tokens: Tokens, at: int) -> Found | None:
        word = tokens[at]
        if word[:-2].isdecimal() and word.endswith(self._endings):
            return int(word[:-2]), at + 1
        if word in self._ordinals:
            return self._ordinals[word], at + 1
        tens = self._cardinals.get(word, 0)
        following = self._ordinals.get(tokens[at + 1], 0) if at + 1 < len(tokens) else 0
        if tens in range(20, 100, 10) and 0 < following < 10:
            return tens + following, at + 2
        return None

    def _day(self, tokens: Tokens, at: int) -> Found | None:
        return self._ordinal(tokens, at) or _within(self.number(tokens, at), 1, 31)

    def _year(self, tokens: Tokens, at: int) -> Found | None:
        """2026, "twenty twenty six", "two thousand twenty six"."""
        found = self.number(tokens, at)
        if found is not None and found[0] == 20 and found[1] < len(tokens):
            tail = _within(self.number(tokens, found[1]), 10, 99)
            return (2000 + tail[0], tail[1]) if tail else None
        return _within(found, 2000, 2199)

    def _hour(self, tokens: Tokens, at: int) -> Found | None:
        return _within(self.number(tokens, at), 0, 24)

    def _min(self, tokens: Tokens, at: int) -> Found | None:
        return _within(self.number(tokens, at), 1, 59)

    def _minutes(self, tokens: Tokens, at: int) -> Found | None:
        if tokens[at] in self._zeros and at + 1 < len(tokens):
            return _within(self.number(tokens, at + 1), 1, 9)
        return _within(self.number(tokens, at), 10, 59)


def _continues(part: int, unit: int, *, after_multiplier: bool) -> bool:
    if part == 0:
        return after_multiplier and unit > 0
    return part in range(20, 100, 10) and 0 < unit < 10


def _within(found: Found | None, low: int, high: int) -> Found | None:
    return found if found and isinstance(found[0], int) and low <= found[0] <= high else None


def _positions(names: Sequence[Sequence[str]], first: int) -> dict[str, int]:
    return {name: index for index, spellings in enumerate(names, first) for name in spellings}


def _clock(tokens: Tokens, at: int) -> Found | None:
    return _hour_and_minute(_CLOCK, tokens[at], at)


def _hhmm(tokens: Tokens, at: int) -> Found | None:
    return _hour_and_minute(_HHMM, tokens[at], at)


def _hour_and_minute(pattern: re.Pattern[str], token: str, at: int) -> Found | None:
    if (match := pattern.fullmatch(token)) and int(match[1]) <= 24 and int(match[2]) <= 59:
        # "08:30" is written by the 24-hour clock, "8:30" may be the evening's.
        return (int(match[1]), int(match[2]), "am" if token.startswith("0") else ""), at + 1
    return None


def _iso(tokens: Tokens, at: int) -> Found | None:
    try:
        return date.fromisoformat(tokens[at]), at + 1
    except ValueError:
        return None
