"""The appointment book as functions: what is free, and booking it. Owns why a time cannot be had."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
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
        why = why_not(ctx, store, date, time)
        offers = _offers(ctx, store, date, time)
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


def why_not(ctx: Context, store: Reading, day: dt.date, at: dt.time) -> Refused | None:
    """Why this time cannot be had, with what can be had instead; None when it is free."""
    now = ctx.now()
    starts = moment(day, at, ctx.timezone)
    if day < now.date() or (starts is not None and starts <= now):
        return Refused("in-the-past", f"{_capital(near_date(day, now.date()))} at {clock_time(at)} is in the past.")
    if (day - now.date()).days > ctx.book.max_days_ahead:
        return Refused("too-far-ahead", f"I can only book {ctx.book.max_days_ahead} days ahead.")
    offers = _offers(ctx, store, day, at)
    if not ctx.book.open_on(day):
        return _refused("closed", f"We are closed {on_day(day, now.date())}.", offers, day)
    if at not in ctx.book.starts_on(day):
        inside = any(first <= at < last for first, last in ctx.book.open_on(day))
        why = f"There is no appointment at {clock_time(at)}." if inside else f"We are closed at {clock_time(at)}."
        return _refused("no-such-slot" if inside else "closed", why, offers, day)
    if starts is None:
        return _refused("time-missing", f"There is no {clock_time(at)} that day: the clocks change.", offers, day)
    if len(store.appointments(starts, starts + ctx.book.length)) >= ctx.book.capacity:
        return _taken_refusal(day, at, offers)
    return None


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
    days = [first + dt.timedelta(days=ahead) for ahead in range(_SEARCH_DAYS + 1)]
    days = [candidate for candidate in days if candidate <= last]
    # A day's margin on both sides covers every zone; counting then goes through memory and not the database.
    begin = dt.datetime.combine(days[0], dt.time(), dt.UTC) - dt.timedelta(days=1)
    booked = store.appointments(begin, begin + dt.timedelta(days=len(days) + 2))
    found: list[Free] = []
    for candidate, time, starts in _starts(ctx, days):
        wanted = candidate == day and time <= at
        if wanted or starts <= now or _overlaps(booked, starts, starts + ctx.book.length) >= ctx.book.capacity:
            continue
        found.append((candidate, time))
        if len(found) == _OFFERS:
            break
    return found


def _starts(ctx: Context, days: list[dt.date]) -> Iterator[tuple[dt.date, dt.time, dt.datetime]]:
    for day in days:
        for time in ctx.book.starts_on(day):
            starts = moment(day, time, ctx.timezone)
            if starts is not None:
                yield day, time, starts


def _overlaps(booked: list[Appointment], start: dt.datetime, end: dt.datetime) -> int:
    return sum(
        appointment.starts < end and appointment.starts + dt.timedelta(minutes=appointment.minutes) > start
        for appointment in booked
    )


def _json(offers: list[Free]) -> list[dict[str, Any]]:
    return [{"date": day.isoformat(), "time": f"{time:%H:%M}"} for day, time in offers]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
