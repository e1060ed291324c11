"""Opening hours and slots: local times of a day to moments, through every change of the clocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

_STRICT: dict[str, Any] = {"extra": "forbid"}
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\s*-\s*(?:([01]\d|2[0-3]):([0-5]\d)|(24:00))", re.ASCII)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_MINUTES = 24 * 60
_DEFAULT = "09:00-22:00"

DayHours = Annotated[str, AfterValidator(lambda text: text if read_spans(text) else "")]
"""Checked where it comes from outside."""
Span = tuple[int, int]
"""From and to, in minutes after midnight by the clock on the wall."""


@dataclass(frozen=True, slots=True)
class HoursSettings:
    """When appointments may begin and end, by weekday: "09:00-12:00, 13:00-20:00"; empty = closed."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    monday: DayHours = _DEFAULT
    tuesday: DayHours = _DEFAULT
    wednesday: DayHours = _DEFAULT
    thursday: DayHours = _DEFAULT
    friday: DayHours = _DEFAULT
    saturday: DayHours = _DEFAULT
    sunday: DayHours = _DEFAULT

    def spans(self, day: date) -> tuple[Span, ...]:
        return read_spans(getattr(self, _WEEKDAYS[day.weekday()]))


@dataclass(frozen=True, slots=True)
class BookSettings:
    """The appointment book."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    slot_minutes: Annotated[int, Field(ge=5, le=_DAY_MINUTES)] = 30
    """Length of an appointment; they begin at opening time and every so many minutes after it."""
    capacity: Annotated[int, Field(ge=1, le=1000)] = 1
    """So many appointments at the same time."""
    max_days_ahead: Annotated[int, Field(ge=0, le=3660)] = 90
    """Nothing further ahead is booked."""
    hours: HoursSettings = field(default_factory=HoursSettings)
    """Opening hours."""

    def open_on(self, day: date) -> tuple[tuple[time, time], ...]:
        """Opening hours of one day as times; the end of the day is its last minute."""
        return tuple((_time(start), _time(min(end, _DAY_MINUTES - 1))) for start, end in self.hours.spans(day))

    def starts_on(self, day: date) -> Iterator[time]:
        """When an appointment can begin on that day, by the clock on the wall."""
        for start, end in self.hours.spans(day):
            for minute in range(start, end - self.slot_minutes + 1, self.slot_minutes):
                yield _time(minute)

    @property
    def length(self) -> timedelta:
        return timedelta(minutes=self.slot_minutes)


def read_spans(text: str) -> tuple[Span, ...]:
    """The spans of one weekday; raises ValueError that says what is wrong."""
    spans: list[Span] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _SPAN.fullmatch(part)
        if found is None:
            raise ValueError(f'{part!r} is no span of time: write "09:00-12:00, 13:00-20:00"')
        start = int(found[1]) * 60 + int(found[2])
        end = _DAY_MINUTES if found[5] else int(found[3]) * 60 + int(found[4])
        if end <= start or (spans and start < spans[-1][1]):
            raise ValueError(f"{part!r} must end after it begins, and begin after the one before it")
        spans.append((start, end))
    return tuple(spans)


def moment(day: date, at: time, zone: tzinfo) -> datetime | None:
    """The moment in UTC at which the clock on the wall shows this; None when the clocks jump over it.

    Shown twice (the clocks go back), the first one is meant: so a day and a time always name one moment.
    """
    try:
        utc = datetime.combine(day, at.replace(fold=0), zone).astimezone(UTC)
        shown = utc.astimezone(zone)
    except (OverflowError, ValueError):  # the first and the last day of the calendar
        return None
    return utc if (shown.date(), shown.time()) == (day, at.replace(fold=0)) else None


def _time(minutes: int) -> time:
    return time(minutes // 60, minutes % 60)
