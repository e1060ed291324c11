"""Which slot a value belongs to: owns the filling of a form with what was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, time
from typing import Any

from device.dialog.dates import DateReading
from device.dialog.forms import Form, Slot
from device.dialog.sentences import Said
from device.dialog.slots import Moment, Span, argument
from device.dialog.talk import Open

_FITS = {
    "date": ("date",),
    "time": ("time",),
    "duration": ("duration", "time"),
    # A bare number after a refusal or a read-back is the time more often than anything else: "no, eight".
    "number": ("time", "integer", "number"),
    "count": ("integer", "number"),
    "code": ("code",),
}


def assigned(open_: Open, said: Said, moment: Moment, asked: Slot | None = None) -> tuple[Open, bool]:
    """The form with the values in it, and whether what was said fits (the asked slot, or any).

    Dates go first whatever their order, since an open time ("at eight") depends on the day.
    """
    filled = open_
    took: set[str] = set()
    for name, value in sorted(said, key=lambda pair: not _is_date(pair[1])):
        slot = _slot_for(open_.form, name, value, asked)
        if slot is None:
            continue
        argued = argument(slot, value, _moment(filled, slot, moment))
        if argued is None:
            continue
        took.add(slot.name)
        half = value.reading.half if isinstance(value, Span) and isinstance(value.reading, DateReading) else filled.half
        filled = replace(filled, values={**filled.values, slot.name: argued}, half=half)
    return filled, bool(took)


def _slot_for(form: Form, name: str, value: Span | str, asked: Slot | None) -> Slot | None:
    """The slot that was asked for, unless the value has a name of its own; by that name; the first that fits."""
    if asked is not None and isinstance(value, Span) and name == value.kind == asked.kind:
        return asked
    if (slot := form.slot(name)) is not None:
        return slot
    if isinstance(value, str):
        return asked or next((slot for slot in form.slots if slot.kind in ("name", "text", "choice")), None)
    kinds = _FITS.get(name, _FITS[value.kind])
    if asked is not None and asked.kind in kinds:
        return asked
    return next((slot for kind in kinds for slot in form.slots if slot.kind == kind), None)


def _moment(filled: Open, slot: Slot, moment: Moment) -> Moment:
    """What is known of the day, for an open time; a corrected time rather stays in its half of the day."""
    near = ""
    if slot.kind == "time" and slot.name in filled.values:
        near = "pm" if time.fromisoformat(filled.values[slot.name]).hour >= 12 else "am"
    return replace(moment, half=filled.half, near=near, day=_known_day(filled.form, filled.values))


def _known_day(form: Form, values: Mapping[str, Any]) -> date | None:
    """Of several days the last one: a form that moves something ends with where to."""
    days = [date.fromisoformat(values[slot.name]) for slot in form.slots if slot.kind == "date" and slot.name in values]
    return days[-1] if days else None


def _is_date(value: Span | str) -> bool:
    return isinstance(value, Span) and value.kind == "date"
