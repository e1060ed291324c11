"""Times of day and durations as people name them, and which half of the day an open "at eight" means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from device.dialog.grammar import Match

Hours = Sequence[tuple[time, time]]
"""Opening hours of one day: from, to."""

_DAYTIME = range(8, 12)
"""Of two times that both fit, these hours mean the morning and the others the afternoon."""

_EITHER = range(7, 12)
"""Hours at home in both halves: as a correction they stay in the half of the time they correct."""


@dataclass(frozen=True, slots=True)
class TimeReading:
    """A time on the clock; `half` is empty while it may be the morning's or the evening's."""

    hour: int
    minute: int
    half: str = ""

    @property
    def open(self) -> bool:
        """True for "at eight": two times of the day have that name."""
        return not self.half and 1 <= self.hour <= 12

    def at(self, half: str = "") -> time:
        """The time, in that half of the day where it is open."""
        half = self.half or half
        if not 1 <= self.hour <= 12 or not half:
            return time(self.hour % 24, self.minute)
        return time(self.hour % 12 + (12 if half == "pm" else 0), self.minute)


def read_time(match: Match) -> TimeReading | None:
    """The time a pattern means; None when the clock has no such time."""
    said: dict[str, Any] = {**match.fixed, **dict(match.captures)}
    hour, minute, written = said.get("CLOCK") or said.get("HHMM") or (said.get("HOUR", said.get("hour", 0)), 0, "")
    minute += said.get("minutes", 0) + said.get("MINUTES", 0) + said.get("sign", 1) * said.get("MIN", 0)
    half = said.get("half") or said.get("HALF") or written
    if minute < 0:
        hour, minute = (23 if hour == 0 else hour - 1 or 12), minute + 60
    if hour > 24 or minute > 59 or (hour == 24 and minute):
        return None
    return TimeReading(hour, minute, half)


def read_duration(match: Match) -> int | None:
    """Seconds."""
    said = dict(match.fixed)
    numbers = [value for atom, value in match.captures if atom == "NUM"]
    units = [value for atom, value in match.captures if atom == "UNIT"]
    if "number" in said:
        numbers.insert(0, said["number"])
    if "unit" in said:
        units.insert(0, said["unit"])
    if not numbers or len(numbers) != len(units):
        return None
    numbers[-1] += said.get("extra", 0)
    seconds = round(sum(number * unit for number, unit in zip(numbers, units, strict=True)))
    return seconds if seconds > 0 else None


def choose_time(reading: TimeReading, *, half: str, near: str, hours: Hours, after: datetime | None) -> time:
    """Which time of the day is meant: the half that was named, else the one within opening hours, else the next.

    `after` is the present moment when the day is today: of two possible times the one to come is meant. Of two that
    both fit, 8 to 11 mean the morning and 12 to 7 the afternoon; a correction stays `near` what it corrects.
    """
    if not reading.open or half:
        return reading.at(half)
    both = [reading.at("am"), reading.at("pm")]
    fits = [t for t in both if any(start <= t < end for start, end in hours)] or both
    if after is not None:
        fits = [t for t in fits if t > after.time()] or fits
    if near and reading.hour in _EITHER and (close := reading.at(near)) in fits:
        return close
    if len(fits) == 1 or after is not None:
        return fits[0]
    return fits[0] if reading.hour in _DAYTIME else fits[1]
