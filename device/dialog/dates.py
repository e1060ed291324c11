"""Days as people name them: owns the meaning of a matched date pattern, seen from today."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from device.dialog.grammar import Match


@dataclass(frozen=True, slots=True)
class DateReading:
    """A day, with the half of it that was named ("friday evening")."""

    day: date
    half: str = ""


def read_date(match: Match, today: date) -> DateReading | None:
    """The day a pattern means; None when the calendar has no such day."""
    said: dict[str, Any] = {**match.fixed, **dict(match.captures)}
    try:
        day = _day(said, today)
    except (ValueError, OverflowError):
        return None
    return DateReading(day, said.get("half") or said.get("HALF", "")) if day else None


def _day(said: dict[str, Any], today: date) -> date | None:
    if "ISO" in said:
        day: date = said["ISO"]
        return day
    if "days" in said:
        return today + timedelta(days=said["days"])
    if "CAL" in said:
        return today + timedelta(days=int(said.get("NUM", said.get("number", 1)) * said["CAL"]))
    if "MONTH" in said:
        return _month_day(said, today)
    if "ORD" in said:
        return _day_of_month(int(said["ORD"]), today)
    if "WEEKDAY" in said:
        return _weekday(int(said["WEEKDAY"]), today, weeks=said.get("weeks", 0)) + timedelta(days=said.get("plus", 0))
    return None


def _weekday(weekday: int, today: date, *, weeks: int) -> date:
    """ "Friday" is the coming one, never today; "next Friday" is the one of the next calendar week."""
    if weeks:
        monday = today - timedelta(days=today.weekday())
        return monday + timedelta(days=7 * weeks + weekday)
    return today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1)


def _month_day(said: dict[str, Any], today: date) -> date | None:
    """Without a year the next such day, today included; a leap day waits for its year."""
    number = int(said.get("ORD") or said.get("DAY") or said.get("NUM") or 0)
    if "YEAR" in said:
        return date(said["YEAR"], said["MONTH"], number)
    for year in range(today.year, today.year + 9):
        try:
            day = date(year, said["MONTH"], number)
        except ValueError:
            continue
        if day >= today:
            return day
    return None


def _day_of_month(number: int, today: date) -> date | None:
    """The next day with that number, today included: "the 31st" said in February is in March."""
    for ahead in range(63):
        day = today + timedelta(days=ahead)
        if day.day == number:
            return day
    return None
