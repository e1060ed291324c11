"""The pure parts of a backend function: the breaker, the mapping of arguments and answers, sentences, parameters."""

from __future__ import annotations

import json
from datetime import date, time
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.functions.breaker import Breaker, BreakerSettings, BreakerState
from device.functions.contract import ArgumentsTooLarge, BadArguments, UnknownFunction
from device.functions.json_schema import schema_of_parameters
from device.functions.mapping import json_value, result_of_answer, target_of
from device.functions.registry import Registry, function, spec_of
from device.functions.schema import SchemaError
from device.functions.template import LONGEST, filled, names_in, one_line, plain_sentence, spoken

SETTINGS = BreakerSettings(failures=3, window_s=10, open_s=20)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "date", "time"]), inner),
    max_leaves=8,
)


# -- breaker --------------------------------------------------------------------------------------------------------
def fail(breaker: Breaker, *times: float) -> None:
    for now in times:
        permit = breaker.admit(now)
        assert permit is not None
        breaker.failed(permit, now)


def test_failures_in_a_row_within_the_window_open_it() -> None:
    breaker = Breaker(SETTINGS)
    fail(breaker, 0, 1, 12)
    assert breaker.state is BreakerState.CLOSED, "the first is too long ago"
    permit = breaker.admit(12)
    assert permit is not None
    breaker.succeeded(permit)
    fail(breaker, 13, 14)
    assert breaker.state is BreakerState.CLOSED, "an answer in between counts"
    fail(breaker, 15)
    assert breaker.admit(15.1) is None
    assert breaker.admit(34.9) is None


def test_one_probe_decides() -> None:
    breaker = Breaker(SETTINGS)
    fail(breaker, 0, 0, 0)
    probe = breaker.admit(20)
    assert probe is not None
    assert breaker.admit(20) is None
    breaker.failed(probe, 21)
    assert breaker.admit(40) is None
    probe = breaker.admit(41)
    assert probe is not None
    breaker.succeeded(probe)
    assert breaker.state is BreakerState.CLOSED


def test_a_probe_that_was_given_up_leaves_room_for_the_next() -> None:
    breaker = Breaker(SETTINGS)
    fail(breaker, 0, 0, 0)
    probe = breaker.admit(20)
    assert probe is not None
    breaker.given_back(probe)
    assert breaker.admit(20) is not None


def test_ends_of_requests_from_before_say_nothing() -> None:
    breaker = Breaker(SETTINGS)
    early = [breaker.admit(0) for _ in range(5)]
    assert all(early)
    for permit in early[:3]:
        breaker.failed(permit, 1)  # type: ignore[arg-type]
    probe = breaker.admit(21)
    breaker.succeeded(early[3])  # type: ignore[arg-type]
    breaker.failed(early[4], 21)  # type: ignore[arg-type]
    assert breaker.state is BreakerState.PROBING
    assert probe is not None
    breaker.succeeded(probe)
    assert breaker.state is BreakerState.CLOSED


@given(st.lists(st.tuples(st.sampled_from("sfg"), st.floats(0, 30)), max_size=60))
def test_it_never_shuts_for_good(steps: list[tuple[str, float]]) -> None:
    breaker, now = Breaker(SETTINGS), 0.0
    for what, later in steps:
        now += later
        if (permit := breaker.admit(now)) is not None:
            if what == "s":
                breaker.succeeded(permit)
            elif what == "f":
                breaker.failed(permit, now)
            else:
                breaker.given_back(permit)
        assert breaker.state is not BreakerState.PROBING
    assert breaker.admit(now + SETTINGS.open_s) is not None


# -- arguments ------------------------------------------------------------------------------------------------------
@given(TEXT, TEXT)
def test_an_argument_never_leaves_its_place_in_the_path(room: str, note: str) -> None:
    given_both = {"room": room, "note": note}
    if not room.strip("."):
        with pytest.raises(BadArguments, match="room: expected something"):
            target_of("GET", "/rooms/{room}/x?fixed=1", {"note": "n"}, given_both)
        return
    target = target_of("GET", "/rooms/{room}/x?fixed=1", {"note": "n"}, given_both)
    sent = httpx.URL("http://127.0.0.1:9/base" + target.path)  # as the client sends it
    parts = urlsplit(sent.raw_path.decode())
    before, segment, after = parts.path.rsplit("/", 2)
    assert (before, unquote(segment), after) == ("/base/rooms", room, "x")
    assert parse_qsl(parts.query, keep_blank_values=True) == [("fixed", "1"), ("n", note)]


@given(st.dictionaries(st.sampled_from("abc"), TEXT | st.integers() | st.booleans() | st.none()))
def test_a_body_has_every_argument_that_was_given(arguments: dict[str, Any]) -> None:
    target = target_of("POST", "/x", {"a": "first"}, arguments)
    assert target.path == "/x"
    assert json.loads(target.body or b"") == {
        "first" if name == "a" else name: value for name, value in arguments.items() if value is not None
    }


def test_days_and_times_are_sent_as_the_contract_writes_them() -> None:
    assert [json_value(each) for each in (date(2026, 12, 4), time(19), 4, None)] == ["2026-12-04", "19:00", 4, None]


# -- answers --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"nextSlot": "8pm"}, ["8pm"]),
        ({"nextSlot": ["8pm", "9pm"]}, ["8pm", "9pm"]),
        ({"nextSlot": None, "x": 1}, []),
        ({"nextSlot": ""}, []),
    ],
)
def test_one_becomes_a_list_where_the_name_asks_for_it(answer: Any, expected: list[str]) -> None:
    assert result_of_answer(answer, {"nextSlots": "nextSlot"}) == {"nextSlots": expected}


@given(JSON, st.dictionaries(st.sampled_from(["x", "ys"]), st.sampled_from(["a", "a.b", "0", "a.0.b", "b.y"])))
def test_any_answer_is_mapped_or_is_none_of_ours(answer: Any, mapping: dict[str, str]) -> None:
    try:
        result = result_of_answer(answer, mapping)
    except LookupError:
        assert mapping
        return
    json.dumps(result)
    assert not mapping or result.keys() == mapping.keys()


# -- sentences ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("template", "values", "said"),
    [
        (
            "Booked {date} at {time}.",
            {"date": "2026-12-04", "time": "19:30"},
            "Booked Friday, December 4th at 7:30 PM.",
        ),
        ("It is {free?free|taken}.", {"free": True}, "It is free."),
        ("It is {free?free|taken}.", {}, "It is taken."),
        ("Ready[, under {name}].", {"name": ""}, "Ready."),
        ("Ready[, under {name}].", {"name": "Ann"}, "Ready, under Ann."),
        ("Free at {slots}.", {"slots": ["19:00", "20:00", None]}, "Free at 7 PM or 8 PM."),
        ("{number} left.", {"number": 0}, "0 left."),
        ("{gone} left.", {}, ""),
        ("Said {text}.", {"text": "a\x00b\n c"}, "Said a b c."),
    ],
)
def test_sentences(template: str, values: dict[str, Any], said: str) -> None:
    names_in(template)
    assert filled(template, values) == said


def test_a_plain_sentence_for_what_is_free() -> None:
    assert plain_sentence({"available": True}) == "Yes, that time is free."
    assert plain_sentence({"available": False}) == "Sorry, that time is taken."
    assert plain_sentence({"other": 1}) == ""


@given(st.text(), JSON)
def test_foreign_words_are_always_fit_to_be_said(text: str, value: Any) -> None:
    for said in (one_line(text), spoken(value), filled("{a}[ and {b}]", {"a": text, "b": value})):
        said.encode()
        assert said.isprintable()
        assert len(said) <= 4 * LONGEST


@given(TEXT)
def test_a_template_is_read_or_refused(template: str) -> None:
    try:
        names = names_in(template)
    except ValueError:
        return
    filled(template, dict.fromkeys(names, "x"))


# -- parameters, and errors that help -------------------------------------------------------------------------------
def test_parameters_become_slots_and_a_check() -> None:
    schema = schema_of_parameters(
        "orderTaxi",
        {
            "pickup_time": {"format": "time", "question": "When?", "retry": "At what time, please?"},
            "class": {"enum": ["small", "large"]},
            "note": {"maxLength": 5, "description": "For the driver."},
            "for": {"type": "string", "kind": "name"},
        },
        ("pickup_time",),
    )
    assert [(slot.name, slot.kind, slot.required) for slot in schema.slots] == [
        ("pickup_time", "time", True),
        ("class", "choice", False),
        ("note", "text", False),
        ("for", "name", False),
    ]
    assert (schema.slots[0].question, schema.slots[0].retry) == ("When?", "At what time, please?")
    assert schema.json_schema["required"] == ["pickup_time"]
    values, problems = schema.check({"pickup_time": "19:00", "class": "large"})
    assert not problems
    assert {schema.name_of(name): value for name, value in values.items()} == {
        "pickup_time": time(19),
        "class": "large",
        "note": None,
        "for": None,
    }
    assert [p.field for p in schema.check({"pickup_time": "7", "class": "huge", "note": "too long"})[1]] == [
        "pickup_time",
        "class",
        "note",
    ]


@pytest.mark.parametrize(
    ("parameters", "what"),
    [
        ({"1a": {}}, "a letter first"),
        ({"a": {"typ": "string"}}, "did you mean type?"),
        ({"a": {"type": "integer", "default": "x"}}, "its default does not fit"),
        ({"a": {"type": "integer", "format": "date"}}, "format 'date'"),
        ({"a": {"enum": [1]}}, "enum is a list of texts"),
        ({"a": {"kind": "colour"}}, "kind 'colour'"),
        ({"a": {"question": 1}}, "question is a text"),
        ({"a": {"type": "string", "maxLength": "5"}}, "maxLength = '5' does not go with its type"),
    ],
)
def test_parameters_that_cannot_be_used(parameters: Any, what: str) -> None:
    with pytest.raises(SchemaError, match=r"parameters\.\w+: ") as raised:
        schema_of_parameters("f", parameters, ())
    assert what in str(raised.value)


def test_errors_name_what_is_expected() -> None:
    registry = Registry.load()
    with pytest.raises(UnknownFunction, match="did you mean checkAvailability"):
        registry.get("checkAvailabilty")
    with pytest.raises(ArgumentsTooLarge, match="at most 16384 characters") as raised:
        registry.get("getTime").check({"x": "y" * 20_000})
    assert raised.value.code == "arguments-too-large"


def test_a_signature_without_a_schema_is_named() -> None:
    def two_days(days: list[str]) -> str:
        """Say something."""
        return ""

    with pytest.raises(SchemaError, match=r"two_days: parameter 'days'.*cannot be asked for"):
        function()(two_days)
    with pytest.raises(SchemaError, match="at_once not negative"):
        function(at_once=-1)(_documented)


def test_at_once_is_a_property() -> None:
    @function(at_once=2)
    def look_up() -> str:
        """Look it up."""
        return "x"

    assert spec_of(look_up).at_once == 2


def _documented() -> str:
    """Nothing."""
    return ""
