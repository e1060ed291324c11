"""Dates, times and durations in the sentences of the builtin functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time, timedelta

_HOURS = ("twelve", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")
_MINUTES = {0: "", 15: " fifteen", 30: " thirty", 45: " forty-five"}
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_ORDINALS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}


def clock_time(at: time) -> str:
    """7 PM, 7:30 PM, noon."""
    if at.minute == 0 and at.hour in (0, 12):
        return "noon" if at.hour else "midnight"
    minutes = f":{at.minute:02}" if at.minute else ""
    return f"{at.hour % 12 or 12}{minutes} {'PM' if at.hour >= 12 else 'AM'}"


def short_times(times: Sequence[time]) -> list[str]:
    """As one says them among each other: "seven", "seven thirty"; in full where half the day would be a guess."""
    halves = {at.hour >= 12 for at in times}
    if len(halves) > 1 or any(at.minute not in _MINUTES or at.hour in (0, 12) for at in times):
        return [clock_time(at) for at in times]
    return [f"{_HOURS[at.hour % 12]}{_MINUTES[at.minute]}" for at in times]


def full_date(day: date) -> str:
    """Friday, December 4th."""
    return f"{_WEEKDAYS[day.weekday()]}, {_MONTHS[day.month - 1]} {day.day}{_ORDINALS.get(day.day, 'th')}"


def near_date(day: date, today: date) -> str:
    """today, tomorrow, or the full date."""
    ahead = (day - today) // timedelta(days=1)
    return {0: "today", 1: "tomorrow"}.get(ahead, full_date(day))


def on_day(day: date, today: date) -> str:
    """today, tomorrow, "on" the full date."""
    near = near_date(day, today)
    return near if near in ("today", "tomorrow") else f"on {near}"


def duration(seconds: int) -> str:
    """1 hour, 10 minutes and 5 seconds."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [_many(number, unit) for number, unit in ((hours, "hour"), (minutes, "minute"), (rest, "second")) if number]
    return listed(parts or [_many(0, "second")], "and")


def listed(words: Sequence[str], last: str) -> str:
    """ "a, b or c"; without a comma before the last word."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def _many(number: int, unit: str) -> str:
    return f"{number} {unit}" + ("" if number == 1 else "s")
