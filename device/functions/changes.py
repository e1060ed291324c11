"""Moving and cancelling an appointment. Owns who may: staff, and whoever knows its day and its code."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from device.functions.appointments import why_not
from device.functions.booking_codes import DIGITS, code_of, same
from device.functions.context import Context, Outcome
from device.functions.contract import BadArguments, Problem, Refused
from device.functions.hours import moment
from device.functions.registry import function
from device.functions.schema import Slot
from device.functions.store import Appointment, Reading
from device.functions.wording import clock_time, near_date, on_day


def _digits(value: Any) -> Any:
    """A code as callers write it: "4271", "4 2 7 1", "4-2-7-1", and a number without its zeros."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:0{DIGITS}}"
    return "".join(filter(str.isdecimal, value)) if isinstance(value, str) else value


BookedFor = Annotated[
    dt.date,
    Slot(
        "Which day is it on?",
        "Sorry, I did not get the day. On which day is the appointment now?",
        description="Day of the appointment as it is booked now, as YYYY-MM-DD.",
    ),
]
Code = Annotated[
    str,
    Field(max_length=20),
    BeforeValidator(_digits),
    Slot(
        "What is its code?",
        "Sorry, which four digits?",
        kind="code",
        description="The four digits that were told when it was booked. Needed from everybody but staff.",
    ),
]
BookedAt = Annotated[
    dt.time | None,
    Slot("At what time is it now?", description="Its time as it is booked now, if there are several on that day."),
]


@function(effect=True)
def cancel_appointment(ctx: Context, booked_for: BookedFor, code: Code = "", booked_at: BookedAt = None) -> Outcome:
    """Cancel an appointment; its time is free again."""
    today = ctx.dated_now().date()
    with ctx.store.transaction() as store:
        found = _found(ctx, store, booked_for, code, booked_at)
        store.cancel_appointment(found.id)
    at = _local(ctx, found)
    value = {"id": found.id, "date": at.date().isoformat(), "time": f"{at:%H:%M}"}
    return Outcome(value, f"Your appointment {on_day(at.date(), today)} at {clock_time(at.time())} is cancelled.")


@function(effect=True)
def reschedule_appointment(
    ctx: Context,
    booked_for: BookedFor,
    time: Annotated[
        dt.time,
        Slot(
            "To which day and time?",
            "Sorry, I did not get that. To which time?",
            description="New local time as HH:MM, 24 hours.",
        ),
    ],
    date: Annotated[
        dt.date | None,
        Slot("To which day?", description="New day as YYYY-MM-DD; left out: the same day."),
    ] = None,
    code: Code = "",
    booked_at: BookedAt = None,
) -> Outcome:
    """Move an appointment to another day or time; it keeps its code."""
    today = ctx.dated_now().date()
    date = date or booked_for
    with ctx.store.transaction() as store:
        old = _found(ctx, store, booked_for, code, booked_at)
        store.cancel_appointment(old.id)  # so that it is not in its own way; undone with everything if that fails
        why = why_not(ctx, store, date, time)
        starts = moment(date, time, ctx.timezone)
        if why is not None or starts is None:
            raise why or Refused("time-missing", "The clocks go forward then, so that time does not exist.")
        zone = getattr(ctx.timezone, "key", None) or "UTC"
        id = store.add_appointment(
            starts,
            ctx.book.slot_minutes,
            zone,
            name=old.name,
            people=old.people,
            created=old.created,  # its code follows from this
            call_id=old.call_id,
        )
    value = {"id": id, "date": date.isoformat(), "time": f"{time:%H:%M}", "people": old.people, "name": old.name}
    sentence = f"Your appointment is moved to {near_date(date, today)} at {clock_time(time)}."
    return Outcome(value, sentence)


def _found(ctx: Context, store: Reading, day: dt.date, code: str, at: dt.time | None) -> Appointment:
    """The one appointment that is meant; whoever does not know its code learns nothing of it."""
    staff = ctx.origin == "staff"
    if not staff and not code:
        problem = Problem("code", f"the {DIGITS} digits that were told when it was booked", "nothing")
        raise BadArguments((problem,), sentence="For that I need the code of the appointment.")
    begun = ctx.clock()
    if not staff:
        ctx.guesses.begin(ctx.origin, begun)
    known = [one for one in _on_day(ctx, store, day) if staff or same(code, code_of(one))]
    if not staff and known:
        ctx.guesses.right(ctx.origin, begun)
    found = [one for one in known if at is None or _local(ctx, one).time() == at]
    if not found:
        when = on_day(day, ctx.now().date())
        if staff or known:
            raise Refused("no-appointment", f"There is no such appointment {when}.")
        raise Refused("code-wrong", f"I find no appointment {when} with that code.")
    if len(found) > 1:
        problem = Problem("bookedAt", "its time, since there are several that day", "nothing")
        raise BadArguments((problem,), sentence="There are several on that day.")
    return found[0]


def _on_day(ctx: Context, store: Reading, day: dt.date) -> list[Appointment]:
    """Those that are not over. A day's margin covers every zone."""
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
    margin = dt.timedelta(hours=36)
    found = store.appointments(noon - margin, noon + margin)
    return [one for one in found if _local(ctx, one).date() == day and one.starts > ctx.clock()]


def _local(ctx: Context, one: Appointment) -> dt.datetime:
    return one.starts.astimezone(ctx.timezone)
