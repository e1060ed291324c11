"""Dates, times, durations and numbers as recognizers write them."""

from __future__ import annotations

from datetime import date, datetime, time
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.dialog.dates import DateReading
from device.dialog.forms import Slot
from device.dialog.language import Language, load_language
from device.dialog.lexicon import Lexicon
from device.dialog.slots import Moment, SlotReader, Tagged, argument
from device.dialog.times import TimeReading, choose_time
from device.dialog.wording import Wording, fill
from device.dialog.words import WordRules

BERLIN = ZoneInfo("Europe/Berlin")
TUESDAY = datetime(2026, 12, 1, 15, 20, tzinfo=BERLIN)


@cache
def english() -> tuple[Language, WordRules, SlotReader]:
    language = load_language("en")
    return language, WordRules(language.words), SlotReader(language.grammar, Lexicon(language.words))


def tag(text: str, now: datetime = TUESDAY, asked: str = "") -> Tagged:
    _, words, reader = english()
    return reader.tag(words.tokens(text), now, asked)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", "2026-12-01"),
        ("Tomorrow.", "2026-12-02"),
        ("yesterday", "2026-11-30"),
        ("the day after tomorrow", "2026-12-03"),
        ("Friday", "2026-12-04"),
        ("on Friday", "2026-12-04"),
        ("this Friday", "2026-12-04"),
        ("next Friday", "2026-12-11"),
        ("Friday next week", "2026-12-11"),
        ("next Monday", "2026-12-07"),
        ("Tuesday", "2026-12-08"),
        ("a week from Friday", "2026-12-11"),
        ("on the third of December", "2026-12-03"),
        ("December third", "2026-12-03"),
        ("December 3rd", "2026-12-03"),
        ("December 3", "2026-12-03"),
        ("Dec 3", "2026-12-03"),
        ("3rd of December", "2026-12-03"),
        ("3 December 2027", "2027-12-03"),
        ("December third twenty twenty seven", "2027-12-03"),
        ("December twenty-first", "2026-12-21"),
        ("the twenty first of December", "2026-12-21"),
        ("the 3rd", "2026-12-03"),
        ("the thirty first", "2026-12-31"),
        ("January 5th", "2027-01-05"),
        ("Saturday the fifth", "2026-12-05"),
        ("Friday, December 4th", "2026-12-04"),
        ("2026-12-03", "2026-12-03"),
        ("in three days", "2026-12-04"),
        ("in a week", "2026-12-08"),
        ("two weeks from today", "2026-12-15"),
        ("February 29th", "2028-02-29"),
    ],
)
def test_a_day(text: str, expected: str) -> None:
    tagged = tag(text)
    assert tagged.tokens == ("date0",), tagged
    assert argument(Slot("d", "date", ""), tagged.spans[0], Moment(TUESDAY)) == expected


@pytest.mark.parametrize("text", ["February 30th", "December 32nd", "2026-13-01", "the fortieth"])
def test_no_such_day(text: str) -> None:
    assert tag(text).tokens != ("date0",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at eight", "20:00"),
        ("8 p.m.", "20:00"),
        ("8 p.m", "20:00"),
        ("8pm", "20:00"),
        ("8 PM", "20:00"),
        ("eight p m", "20:00"),
        ("eight a.m.", "08:00"),
        ("8:30", "20:30"),
        ("08:30", "08:30"),
        ("8.30 pm", "20:30"),
        ("at 830", "20:30"),
        ("seven thirty", "19:30"),
        ("eight oh five", "20:05"),
        ("half past seven", "19:30"),
        ("half-past seven", "19:30"),
        ("quarter to nine", "20:45"),
        ("a quarter past six", "18:15"),
        ("ten past eight", "20:10"),
        ("five minutes to one am", "00:55"),
        ("quarter to one pm", "12:45"),
        ("noon", "12:00"),
        ("midnight", "00:00"),
        ("twelve thirty pm", "12:30"),
        ("12 a.m.", "00:00"),
        ("19:30", "19:30"),
        ("seven o'clock in the evening", "19:00"),
        ("seven in the morning", "07:00"),
        ("quarter to midnight", None),
    ],
)
def test_a_time(text: str, expected: str | None) -> None:
    tagged = tag(text)
    if expected is None:
        assert tagged.tokens != ("time0",)
        return
    assert tagged.tokens == ("time0",), tagged
    assert argument(Slot("t", "time", ""), tagged.spans[0], Moment(TUESDAY)) == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("twenty minutes", 1200),
        ("20 min", 1200),
        ("an hour and a half", 5400),
        ("one and a half hours", 5400),
        ("1 hour and 30 minutes", 5400),
        ("half an hour", 1800),
        ("a quarter of an hour", 900),
        ("ninety seconds", 90),
        ("one hundred and twenty seconds", 120),
        ("2.5 hours", 9000),
        ("a minute", 60),
        ("a couple of minutes", 120),
        ("one hour, two minutes and three seconds", 3723),
    ],
)
def test_a_duration(text: str, seconds: int) -> None:
    tagged = tag(text)
    assert tagged.tokens == ("duration0",), tagged
    assert tagged.spans[0].reading == seconds


def test_values_in_a_sentence_keep_their_order() -> None:
    tagged = tag("Book a table for four on Friday at 7:30 p.m.")
    assert tagged.tokens == ("book", "a", "table", "for", "number0", "date1", "time2")
    assert [span.reading for span in tagged.spans] == [
        4,
        DateReading(date(2026, 12, 4)),
        TimeReading(7, 30, "pm"),
    ]


def test_a_number_before_a_day_stays_a_number() -> None:
    assert tag("for four December third").tokens == ("for", "number0", "date1")
    assert tag("4 December", asked="date").tokens == ("date0",)


def test_open_times_follow_opening_hours_then_the_present_then_habit() -> None:
    evening = [(time(18), time(23))]
    long_day = [(time(7), time(23))]
    morning = datetime(2026, 12, 1, 9, 0)
    eight, three = TimeReading(8, 0), TimeReading(3, 0)
    assert choose_time(eight, half="", near="", hours=evening, after=None) == time(20)
    assert choose_time(eight, half="", near="", hours=long_day, after=None) == time(8)
    assert choose_time(eight, half="", near="", hours=long_day, after=morning) == time(20)
    assert choose_time(three, half="", near="", hours=(), after=None) == time(15)
    assert choose_time(eight, half="am", near="", hours=evening, after=None) == time(8)
    assert choose_time(eight, half="", near="pm", hours=(), after=None) == time(20)
    assert choose_time(three, half="", near="am", hours=(), after=None) == time(15)


def test_values_in_words() -> None:
    wording = Wording(english()[0].wording)
    today = date(2026, 12, 1)
    assert wording.spoken("date", "2026-12-03", today) == "Thursday, December 3rd"
    assert wording.spoken("date", "2026-12-11", today) == "Friday, December 11th"
    assert wording.spoken("date", "2026-12-02", today) == "tomorrow"
    assert wording.spoken("time", "00:05", today) == "12:05 a.m."
    assert wording.spoken("duration", 3660, today) == "1 hour and 1 minute"
    assert fill("Book {date}[ for {people}]?", {"date": "today"}) == "Book today?"


@given(st.text(max_size=120))
def test_any_text_is_tagged(text: str) -> None:
    tagged = tag(text)
    for span in tagged.spans:
        for kind in ("date", "time", "duration", "integer", "number", "boolean", "name", "text", "choice"):
            argument(Slot("x", kind, ""), span, Moment(TUESDAY))


_WORDS = sorted(
    {"a", "an", "half", "past", "to", "quarter", "at", "in", "on", "the", "of", "oh", "twenty", "one", "hundred"}
    | {"friday", "december", "next", "first", "second", "hour", "minutes", "pm", "noon", "8:30", "24:00", "99", "0"}
    | {"2026-02-30", "3rd", "99th", "and", "days", "week", "thousand", "2.5", "1830", "morning", "may"}
)


@given(st.lists(st.sampled_from(_WORDS), max_size=8).map(" ".join))
def test_any_row_of_value_words_is_tagged(text: str) -> None:
    test_any_text_is_tagged.hypothesis.inner_test(text)  # type: ignore[attr-defined]
