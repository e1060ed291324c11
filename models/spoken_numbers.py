"""Numbers in words: cardinals, ordinals, years, money, clock times, dates and telephone numbers, in English."""

from __future__ import annotations

import calendar
import datetime
import re

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_MOST_DIGITS = 15
"""Longer numbers are no quantities to anybody: they are read digit by digit."""
_CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "\u20ac": ("euro", "euros", "cent", "cents"),
    "\u00a3": ("pound", "pounds", "penny", "pence"),
}


def digits(text: str) -> str:
    """Every digit of the text as a word."""
    return " ".join(_UNITS[int(character)] for character in text if character.isdigit())


def cardinal(text: str) -> str:
    """A whole number with or without thousands commas; leading zeros and long bare numbers go digit by digit."""
    bare = text.replace(",", "")
    code = (bare.startswith("0") and len(bare) > 1) or (len(bare) > 6 and "," not in text)
    return digits(bare) if code or len(bare) > _MOST_DIGITS else _words(int(bare), "cardinal")


def ordinal(text: str) -> str:
    """The number of "24th"."""
    bare = text.replace(",", "")
    return digits(bare) if len(bare) > _MOST_DIGITS else _words(int(bare), "ordinal")


def number(text: str) -> str:
    """A whole number, a year, a decimal or a version such as 2.3.1."""
    whole, *parts = text.split(".")
    if parts:
        return " point ".join((cardinal(whole), *(digits(part) for part in parts)))
    if len(text) == 4 and 1100 <= int(text) <= 2099:
        return _words(int(text), "year")
    return cardinal(text)


def money(match: re.Match[str]) -> str:
    """$5, $5.50 and $5 million; groups: sign, whole, part, scale."""
    sign, whole, part, scale = match.groups()
    one, many, cent, cents = _CURRENCIES[sign]
    if scale:
        amount = f"{cardinal(whole)} point {digits(part)}" if part else cardinal(whole)
        return f"{amount} {scale} {many}"
    pieces = []
    if int(whole.replace(",", "")) or not part:
        pieces.append(f"{cardinal(whole)} {one if whole == '1' else many}")
    if part and int(part):
        pieces.append(f"{_words(int(part), 'cardinal')} {cent if int(part) == 1 else cents}")
    return " and ".join(pieces) or f"zero {many}"


def clock(match: re.Match[str]) -> str:
    """10:05, 7:00 p.m., 15:30; groups: hour, minute, half of the day."""
    hour, minute, half = int(match[1]), int(match[2]), (match[3] or "").lower()
    if not half and (hour > 12 or hour == 0):
        half = "p" if hour >= 12 else "a"
    spoken_hour = _words((hour - 1) % 12 + 1, "cardinal")
    if minute == 0:
        spoken_minute = "" if half else " o'clock"
    else:
        spoken_minute = f" {'oh ' if minute < 10 else ''}{_words(minute, 'cardinal')}"
    return f"{spoken_hour}{spoken_minute}{half_day(half)}"


def half_day(half: str) -> str:
    """ " a m" or " p m": without full stops, which would end the sentence."""
    return f" {half[0].lower()} m" if half else ""


def iso_date(match: re.Match[str]) -> str:
    """2026-11-24, if there is such a day; groups: year, month, day."""
    try:
        day = datetime.date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return " ".join(digits(group) for group in match.groups())
    return f"{calendar.month_name[day.month]} {_words(day.day, 'ordinal')}, {_words(day.year, 'year')}"


def telephone(text: str) -> str:
    """Digit by digit, with a pause at every gap; a leading + is said."""
    groups = (digits(group) for group in re.findall(r"\d+", text))
    return ("plus " if text.startswith("+") else "") + ", ".join(groups)


def _words(value: int, form: str) -> str:
    # Imported late: it brings the grammar of forty languages.
    from num2words import num2words

    words = str(num2words(value, lang="en", to=form))
    return words.replace(",", "").replace("-", " ").replace(" and ", " ")
