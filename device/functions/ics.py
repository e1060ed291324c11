"""Appointments as an iCalendar file (RFC 5545): escaping, folding, one event each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from device.functions.store import Appointment

_LONGEST = 75
"""Octets of a line, without its end."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def calendar(appointments: Sequence[Appointment]) -> str:
    """The whole file, lines ended by CR LF. Times are UTC, so that no zone has to be described."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//wakeline//appointment book//EN", "CALSCALE:GREGORIAN"]
    for one in appointments:
        lines += _event(one)
    lines.append("END:VCALENDAR")
    return "".join(f"{part}\r\n" for line in lines for part in _folded(line))


def _event(one: Appointment) -> Iterator[str]:
    summary = f"Appointment: {one.name}" if one.name else "Appointment"
    yield "BEGIN:VEVENT"
    yield f"UID:appointment-{one.id}-{one.created.astimezone(UTC):%Y%m%dT%H%M%S}@wakeline"
    yield f"DTSTAMP:{_moment(one.created)}"
    yield f"DTSTART:{_moment(one.starts)}"
    yield f"DTEND:{_moment(one.starts + timedelta(minutes=one.minutes))}"
    yield f"SUMMARY:{_text(summary)}"
    if one.people > 1:
        yield f"DESCRIPTION:{_text(f'For {one.people} people')}"
    yield f"STATUS:{'CANCELLED' if one.state == 'cancelled' else 'CONFIRMED'}"
    yield "END:VEVENT"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(text: str) -> str:
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def _folded(line: str) -> Iterator[str]:
    """At most 75 octets a line, never inside a character; what goes on begins with a space."""
    part, size = "", 0
    for character in line:
        octets = len(character.encode())
        if size + octets > _LONGEST:
            yield part
            part, size = " ", 1
        part, size = part + character, size + octets
    yield part
