"""The appointment book as functions: what is free, and booking it. Owns why a time cannot be had."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import Field

from device.functions.booking_codes import code_for, spoken
from device.functions.context import Context, Outcome
from device.functions.contract import Refused
from device.functions.hours import moment
from device.functions.registry import function
from device.functions.schema import Slot
from device.functions.store import Appointment, Reading
from device.functions.wording import clock_time, full_date, listed, near_date, on_day, short_times

_OFFERS = 3
_SPOKEN_OFFERS = 2
_SEARCH_DAYS = 14
"""So many days after the wanted one are searched for something free."""
_LONGEST_DAY = dt.timedelta(hours=49)
"""The clocks go back, and its last appointment is a day long: nothing of a day reaches beyond."""

Day = Annotated[
    dt.date,
    Slot("For which day?", "Sorry, I did not get the date. For which day?", description="Day as YYYY-MM-DD."),
]
At = Annotated[
    dt.time,
    Slot("At what time?", "Sorry, I did not get the time. At what time?", description="Local time as HH:MM, 24 hours."),
]
Free = tuple[dt.date, dt.time]


@function()
def check_availability(ctx: Context, date: Day, time: At) -> Outcome:
    """Say whether an appointment is free on a day at a time, and which ones are free next."""
    ctx.dated_now()
    with ctx.store.reading() as store:
        offers = _offers(ctx, store, date, time)
        why = why_not(ctx, store, date, time, offers)
    when = f"{near_date(date, ctx.now().date())} at {clock_time(time)}"
    sentence = f"Yes, {when} is free." if why is None else why.sentence
    return Outcome({"available": why is None, "nextSlots": _json(offers)}, sentence)


@function(alias=("scheduleAppointment",), effect=True)
def book_appointment(
    ctx: Context,
    date: Day,
    time: At,
    people: Annotated[
        int,
        Field(ge=1, le=100),
        Slot("For how many?", "Sorry, how many people?", description="Number of people."),
    ] = 1,
    name: Annotated[
        str,
        Field(max_length=100),
        Slot("Under which name?", "Sorry, which name?", kind="name", description="Whom it is for."),
    ] = "",
) -> Outcome:
    """Book an appointment on a day at a time."""
    ctx.dated_now()
    with ctx.store.transaction() as store:
        why = why_not(ctx, store, date, time)
        starts = moment(date, time, ctx.timezone)
        if why is not None or starts is None:
            raise why or _refused("time-missing", "The clocks go forward then, so that time does not exist.", [], date)
        zone = getattr(ctx.timezone, "key", None) or "UTC"
        now = ctx.clock().astimezone(dt.UTC)
        person = name.strip()
        id = store.add_appointment(
            starts, ctx.book.slot_minutes, zone, name=person, people=people, created=now, call_id=ctx.call_id
        )
    sentence = f"You're booked for {near_date(date, ctx.now().date())} at {clock_time(time)}"
    sentence += (f", for {people}" if people > 1 else "") + (f", under {person}" if person else "")
    code = code_for(now, ctx.call_id)
    value = {"id": id, "date": date.isoformat(), "time": f"{time:%H:%M}", "people": people, "name": person}
    return Outcome({**value, "code": code}, f"{sentence}. Your code is {spoken(code)}.")


def why_not(ctx: Context, store: Reading, day: dt.date, at: dt.time, found: list[Free] | None = None) -> Refused | None:
    """Why this time cannot be had, with what can be had instead; None when it is free. `found` are the offers, if they
    are known already."""
    now = ctx.now()
    starts = moment(day, at, ctx.timezone)
    if day < now.date() or (starts is not None and starts <= now):
        return Refused("in-the-past", f"{_capital(near_date(day, now.date()))} at {clock_time(at)} is in the past.")
    if (day - now.date()).days > ctx.book.max_days_ahead:
        return Refused("too-far-ahead", f"I can only book {ctx.book.max_days_ahead} days ahead.")
    if starts is not None and at in ctx.book.starts_on(day):
        taken = len(store.appointments(starts, starts + ctx.book.length)) >= ctx.book.capacity
        # Only who is refused needs to know what is free: the search costs more than the booking.
        return _taken_refusal(day, at, _offers(ctx, store, day, at) if found is None else found) if taken else None
    offers = _offers(ctx, store, day, at) if found is None else found
    if not ctx.book.open_on(day):
        return _refused("closed", f"We are closed {on_day(day, now.date())}.", offers, day)
    if at not in ctx.book.starts_on(day):
        inside = any(first <= at < last for first, last in ctx.book.open_on(day))
        why = f"There is no appointment at {clock_time(at)}." if inside else f"We are closed at {clock_time(at)}."
        return _refused("no-such-slot" if inside else "closed", why, offers, day)
    return _refused("time-missing", f"There is no {clock_time(at)} that day: the clocks change.", offers, day)


def _taken_refusal(day: dt.date, at: dt.time, offers: list[Free]) -> Refused:
    """ "Seven is taken. Eight or nine?": all times in one form, so that they are heard as alternatives."""
    same = [time for on, time in offers[:_SPOKEN_OFFERS] if on == day]
    if not same:
        return _refused("slot-taken", f"{_capital(short_times([at])[0])} is taken.", offers, day)
    said, *others = short_times([at, *same])
    return Refused("slot-taken", f"{_capital(said)} is taken. {_capital(listed(others, 'or'))}?")


def _refused(code: str, why: str, offers: list[Free], day: dt.date) -> Refused:
    """The reason, and what is free instead."""
    if not offers:
        return Refused(code, why)
    on, first = offers[0]
    times = [time for other, time in offers[:_SPOKEN_OFFERS] if other == on]
    if on == day:
        return Refused(code, f"{why} {_capital(listed([clock_time(time) for time in times], 'or'))}?")
    return Refused(code, f"{why} The next free time is {full_date(on)} at {clock_time(first)}.")


def _offers(ctx: Context, store: Reading, day: dt.date, at: dt.time) -> list[Free]:
    """The next free times after the wanted one, on its day or the days after it."""
    now = ctx.now()
    last = now.date() + dt.timedelta(days=ctx.book.max_days_ahead)
    first = max(day, now.date())
    if first > last:
        return []
    days = (first + dt.timedelta(days=ahead) for ahead in range(_SEARCH_DAYS + 1))
    found: list[Free] = []
    for candidate in (candidate for candidate in days if candidate <= last):
        booked: list[Appointment] | None = None
        for time in ctx.book.starts_on(candidate):
            if candidate == day and time <= at:
                continue
            starts = moment(candidate, time, ctx.timezone)
            if starts is None or starts <= now:
                continue
            if booked is None:  # of one day: mostly the first one has enough
                booked = store.appointments(starts, starts + _LONGEST_DAY)
            if _overlaps(booked, starts, starts + ctx.book.length) < ctx.book.capacity:
                found.append((candidate, time))
                if len(found) == _OFFERS:
                    return found
    return found


def _overlaps(booked: list[Appointment], start: dt.datetime, end: dt.datetime) -> int:
    return sum(
        appointment.starts < end and appointment.starts + dt.timedelta(minutes=appointment.minutes) > start
        for appointment in booked
    )


def _json(offers: list[Free]) -> list[dict[str, Any]]:
    return [{"date": day.isoformat(), "time": f"{time:%H:%M}"} for day, time in offers]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
