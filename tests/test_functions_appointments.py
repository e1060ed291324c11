"""What is free, what is booked and when: opening hours, conflicts, the past, and every change of the clocks."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.functions.contract import FunctionCall, FunctionResult, Refused
from device.functions.hours import BookSettings, HoursSettings, moment, read_spans
from device.functions.registry import Registry
from device.functions.runner import Runner, context_factory
from device.functions.sqlite_store import SqliteStore
from device.functions.timer_functions import due, ringing_sentence
from device.functions.wording import clock_time, duration, full_date, short_times

BERLIN = ZoneInfo("Europe/Berlin")
NOW = dt.datetime(2026, 12, 1, 15, 20, tzinfo=BERLIN)  # a Tuesday
REGISTRY = Registry.load()


class House:
    """Calls functions at a frozen moment; each call has an id of its own."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore(folder / "wakeline.db")
        self.now = NOW
        self.book = BookSettings(slot_minutes=60)
        self.zone: dt.tzinfo = BERLIN
        self.calls = 0

    def run(self, function_name: str, /, **arguments: Any) -> FunctionResult:
        self.calls += 1
        runner = Runner(REGISTRY, self.store, context_factory(lambda: self.now, self.zone, self.book))
        return asyncio.run(runner.run(FunctionCall(f"call-{self.calls}", function_name, arguments, "voice", "s")))

    def says(self, function_name: str, /, **arguments: Any) -> str:
        return self.run(function_name, **arguments).sentence


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def code(result: FunctionResult) -> str:
    return result.error.code if result.error else ""


def test_time_and_date(house: House) -> None:
    time, date = house.run("getTime"), house.run("getDate")
    assert (time.value, time.sentence) == ({"time": "15:20"}, "It's 3:20 PM.")
    assert (date.value, date.sentence) == (
        {"date": "2026-12-01", "weekday": "Tuesday"},
        "It's Tuesday, December 1st.",
    )


def test_free_then_booked_then_taken(house: House) -> None:
    when = {"date": "2026-12-02", "time": "19:00"}
    free = house.run("checkAvailability", **when)
    assert free.value is not None
    assert free.value["available"] is True
    assert free.value["nextSlots"][0] == {"date": "2026-12-02", "time": "20:00"}
    assert free.sentence == "Yes, tomorrow at 7 PM is free."
    booked = house.run("scheduleAppointment", **when, people=4, name="Anna")
    assert booked.sentence == "You're booked for tomorrow at 7 PM, for 4, under Anna. Your code is 7 9 9 5."
    assert booked.value == {"id": 1, **when, "people": 4, "name": "Anna", "code": "7995"}
    again = house.run("checkAvailability", **when)
    assert again.value is not None
    assert again.value["available"] is False
    refused = house.run("bookAppointment", **when)
    assert isinstance(refused.error, Refused)
    assert (code(refused), refused.sentence) == ("slot-taken", "Seven is taken. Eight or nine?")
    assert again.sentence == refused.sentence


def test_what_is_offered_next_is_free(house: House) -> None:
    house.run("bookAppointment", date="2026-12-02", time="20:00")
    house.run("bookAppointment", date="2026-12-02", time="19:00")
    assert house.says("bookAppointment", date="2026-12-02", time="19:00") == "Seven is taken. Nine?"
    house.run("bookAppointment", date="2026-12-02", time="21:00")
    refused = house.run("checkAvailability", date="2026-12-02", time="19:00")
    assert refused.value is not None
    assert refused.value["nextSlots"][0] == {"date": "2026-12-03", "time": "09:00"}
    assert "Thursday, December 3rd at 9 AM" in refused.sentence


def test_capacity(house: House) -> None:
    house.book = BookSettings(capacity=2)
    results = [house.run("bookAppointment", date="2026-12-02", time="19:00") for _ in range(3)]
    assert [code(result) for result in results] == ["", "", "slot-taken"]


def test_a_cancelled_time_is_free_again(house: House) -> None:
    house.run("bookAppointment", date="2026-12-02", time="19:00")
    with house.store.transaction() as writing:
        writing.cancel_appointment(1)
    assert not house.run("bookAppointment", date="2026-12-02", time="19:00").error


@pytest.mark.parametrize(
    ("date", "time", "expected", "says"),
    [
        ("2026-11-30", "19:00", "in-the-past", "in the past"),
        ("2026-12-01", "15:00", "in-the-past", "Today at 3 PM is in the past."),
        ("2027-06-01", "19:00", "too-far-ahead", "90 days"),
        ("2026-12-02", "23:00", "closed", "We are closed at 11 PM."),
        ("2026-12-02", "08:00", "closed", "9 AM or 10 AM?"),
        ("2026-12-02", "21:30", "no-such-slot", "There is no appointment at 9:30 PM."),
        ("2026-12-02", "19:10", "no-such-slot", "8 PM or 9 PM?"),
        ("2026-12-06", "19:00", "closed", "Monday, December 7th at 9 AM"),
        ("0001-01-01", "00:00", "in-the-past", "in the past"),
        ("9999-12-31", "23:59", "too-far-ahead", "days ahead"),
    ],
)
def test_what_cannot_be_had(house: House, date: str, time: str, expected: str, says: str) -> None:
    house.book = BookSettings(slot_minutes=60, hours=HoursSettings(sunday=""))
    refused = house.run("bookAppointment", date=date, time=time)
    assert code(refused) == expected
    assert says in refused.sentence
    checked = house.run("checkAvailability", date=date, time=time)
    assert checked.value is not None
    assert checked.value["available"] is False
    with house.store.reading() as reading:
        assert reading.appointments() == []


def test_a_house_that_is_always_closed(house: House) -> None:
    house.book = BookSettings(hours=HoursSettings("", "", "", "", "", "", ""))
    assert house.says("bookAppointment", date="2026-12-02", time="19:00") == "We are closed tomorrow."
    checked = house.run("checkAvailability", date="2026-12-02", time="19:00")
    assert checked.value == {"available": False, "nextSlots": []}


# -- changes of the clocks ----------------------------------------------------------------------------------------
NIGHT = BookSettings(slot_minutes=30, max_days_ahead=3650, hours=HoursSettings(sunday="00:00-24:00"))


def test_a_time_that_the_clocks_jump_over(house: House) -> None:
    house.book = NIGHT
    refused = house.run("bookAppointment", date="2027-03-28", time="02:30")
    assert code(refused) == "time-missing"
    assert refused.sentence == "There is no 2:30 AM that day: the clocks change. 3 AM or 3:30 AM?"
    assert not house.run("bookAppointment", date="2027-03-28", time="03:00").error


def test_a_time_that_comes_twice_is_the_first_one_and_booked_once(house: House) -> None:
    house.book = NIGHT
    assert not house.run("bookAppointment", date="2027-10-31", time="02:30").error
    assert code(house.run("bookAppointment", date="2027-10-31", time="02:30")) == "slot-taken"
    assert not house.run("bookAppointment", date="2027-10-31", time="03:00").error
    with house.store.reading() as reading:
        first, second = reading.appointments()
    assert first.starts == dt.datetime(2027, 10, 31, 0, 30, tzinfo=dt.UTC)
    assert second.starts == dt.datetime(2027, 10, 31, 2, 0, tzinfo=dt.UTC)
    assert first.zone == "Europe/Berlin"


def test_the_day_before_the_change_is_an_ordinary_one(house: House) -> None:
    house.book = NIGHT
    house.run("bookAppointment", date="2027-03-28", time="12:00")
    house.run("bookAppointment", date="2027-10-31", time="12:00")
    with house.store.reading() as reading:
        assert [one.starts.hour for one in reading.appointments()] == [10, 11]


ZONES = st.sampled_from(
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "UTC"]
).map(ZoneInfo)


@given(st.dates(dt.date(1970, 1, 1), dt.date(2037, 12, 31)), st.times(), ZONES)
def test_a_moment_shows_the_time_that_was_meant(day: dt.date, at: dt.time, zone: ZoneInfo) -> None:
    at = at.replace(microsecond=0, fold=0)
    found = moment(day, at, zone)
    if found is None:
        there = dt.datetime.combine(day, at, zone)
        assert there.astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None) != there.replace(tzinfo=None)
    else:
        shown = found.astimezone(zone)
        assert (shown.date(), shown.time()) == (day, at)
        assert found.tzinfo is dt.UTC


@given(st.dates(dt.date(1970, 1, 1), dt.date(2037, 12, 31)), ZONES)
def test_the_slots_of_a_day_follow_each_other(day: dt.date, zone: ZoneInfo) -> None:
    book = BookSettings(slot_minutes=30, hours=HoursSettings(*["00:00-24:00"] * 7))
    starts = [found for at in book.starts_on(day) if (found := moment(day, at, zone)) is not None]
    assert all(earlier + book.length <= later for earlier, later in itertools.pairwise(starts))


@pytest.mark.parametrize("text", ["9-17", "09:00-09:00", "10:00-09:00", "09:00-12:00, 11:00-13:00", "25:00-26:00", "x"])
def test_spans_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match=r"must end|no span"):
        read_spans(text)


def test_spans() -> None:
    assert read_spans("") == ()
    assert read_spans("09:00-12:00, 13:30 - 24:00") == ((540, 720), (810, 1440))
    assert BookSettings(hours=HoursSettings(monday="22:00-24:00")).open_on(dt.date(2026, 11, 30)) == (
        (dt.time(22), dt.time(23, 59)),
    )


# -- timers -------------------------------------------------------------------------------------------------------
def test_a_timer_rings_until_it_is_stopped(house: House) -> None:
    result = house.run("setTimer", duration=300, name="tea")
    assert result.sentence == "Tea timer set for 5 minutes."
    assert result.value == {"id": 1, "duration": 300, "ends": "2026-12-01T14:25:00Z"}
    later = NOW + dt.timedelta(minutes=5)
    assert due(house.store, later - dt.timedelta(seconds=1)) == ()
    (rings,) = due(house.store, later)
    assert ringing_sentence(rings) == "The tea timer is over."
    house.store.stop_timer(rings.id)
    assert due(house.store, later) == ()


def test_timers_are_cancelled(house: House) -> None:
    assert code(house.run("cancelTimer")) == "no-timer"
    house.run("setTimer", duration=10)
    house.run("setTimer", duration=20, name="Tea")
    assert house.says("cancelTimer", name="tea") == "Tea timer cancelled."
    assert house.says("setTimer", duration=3661) == "Timer set for 1 hour, 1 minute and 1 second."
    assert code(house.run("cancelTimer")) == "arguments-invalid"
    assert house.says("cancelTimer", every=True) == "2 timers cancelled."
    assert house.store.timers() == []


@pytest.mark.parametrize("seconds", [0, -1, 86401, 1.5, "soon", True])
def test_timers_of_no_sensible_length(house: House, seconds: Any) -> None:
    assert code(house.run("setTimer", duration=seconds)) == "arguments-invalid"


def test_not_more_timers_than_anybody_needs(house: House) -> None:
    codes = [code(house.run("setTimer", duration=60)) for _ in range(21)]
    assert codes[:20] == [""] * 20
    assert codes[20] == "too-many-timers"


# -- wording ------------------------------------------------------------------------------------------------------
def test_wording() -> None:
    times = [dt.time(0), dt.time(12), dt.time(0, 5), dt.time(12, 30), dt.time(19), dt.time(7, 45)]
    assert [clock_time(at) for at in times] == ["midnight", "noon", "12:05 AM", "12:30 PM", "7 PM", "7:45 AM"]
    assert short_times([dt.time(19), dt.time(19, 30)]) == ["seven", "seven thirty"]
    assert short_times([dt.time(11), dt.time(13)]) == ["11 AM", "1 PM"]
    assert duration(0) == "0 seconds"
    days = [dt.date(2026, 12, day) for day in (1, 2, 3, 4, 11, 21, 22, 23, 31)]
    endings = [full_date(day)[-4:].strip() for day in days]
    assert endings == ["1st", "2nd", "3rd", "4th", "11th", "21st", "22nd", "23rd", "31st"]
