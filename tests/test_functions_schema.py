"""From a signature to schema, slots and check; the user's own files."""

from __future__ import annotations

import datetime as dt
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from device.functions.contract import BadArguments, UnknownFunction
from device.functions.registry import FunctionFileBroken, FunctionSpec, Registry, function, spec_of
from device.functions.schema import ARGUMENTS_LIMIT, SchemaError, Slot


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@function(alias=("orderPizza",), effect=True)
def order_food(
    day: dt.date,
    at_time: Annotated[dt.time, Slot(question="When?", retry="Sorry, when?")],
    people: Annotated[int, Field(ge=1, le=12)],
    drink: Literal["tea", "coffee"] = "tea",
    size: Size = Size.SMALL,
    wait: Annotated[int, Slot(kind="duration")] = 60,
    hot: bool = False,
    price: float | None = None,
    under_name: str | None = None,
) -> str:
    """Order food.

    The second paragraph is for readers of the code.
    """
    return "Ordered."


FOOD = spec_of(order_food)
GOOD = {"day": "2026-12-04", "atTime": "19:30", "people": 4}


def test_names_and_slots_are_as_the_caller_sees_them() -> None:
    assert (FOOD.name, FOOD.alias, FOOD.description) == ("orderFood", ("orderPizza",), "Order food.")
    assert [(slot.name, slot.kind, slot.required) for slot in FOOD.slots] == [
        ("day", "date", True),
        ("atTime", "time", True),
        ("people", "integer", True),
        ("drink", "choice", False),
        ("size", "choice", False),
        ("wait", "duration", False),
        ("hot", "boolean", False),
        ("price", "number", False),
        ("underName", "text", False),
    ]
    assert [slot.question for slot in FOOD.slots[:3]] == ["For which day?", "When?", "How many?"]
    assert FOOD.slots[3].options == ("tea", "coffee")
    assert FOOD.slots[4].options == ("small", "large")


def test_the_schema_is_plain_and_valid() -> None:
    schema = FOOD.json_schema
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["day", "atTime", "people"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["people"] == {"type": "integer", "minimum": 1, "maximum": 12}
    assert schema["properties"]["drink"]["enum"] == ["tea", "coffee"]
    assert "$ref" not in str(schema)
    assert "anyOf" not in str(schema)


def test_checked_arguments_are_python_values_by_parameter_name() -> None:
    checked = FOOD.check({**GOOD, "size": "large", "underName": None, "hot": None})
    assert checked["day"] == dt.date(2026, 12, 4)
    assert checked["at_time"] == dt.time(19, 30)
    assert (checked["size"], checked["under_name"], checked["hot"]) == (Size.LARGE, None, False)


@pytest.mark.parametrize(
    ("arguments", "field", "says"),
    [
        ({}, "day", "a date as YYYY-MM-DD"),
        ({"day": 1_700_000_000}, "day", "a date"),
        ({"day": "2026-02-30"}, "day", "a date"),
        ({"day": "tomorrow"}, "day", "a date"),
        ({"day": None}, "day", "a date"),
        ({"atTime": "7pm"}, "atTime", "a time as HH:MM, 24 hours"),
        ({"atTime": "24:00"}, "atTime", "a time"),
        ({"atTime": "19:30:15"}, "atTime", "a time"),
        ({"atTime": "١٩:٣٠"}, "atTime", "a time"),
        ({"people": 0}, "people", "greater than or equal to 1"),
        ({"people": True}, "people", "a whole number"),
        ({"people": 1.5}, "people", "a whole number"),
        ({"people": 10**400}, "people", "less than"),
        ({"people": [4]}, "people", "a whole number"),
        ({"drink": "beer"}, "drink", "one of tea, coffee"),
        ({"size": "medium"}, "size", "one of small, large"),
        ({"price": float("nan")}, "price", "a number"),
        ({"underName": 5}, "underName", "a text"),
        ({"underName": "\ud800"}, "underName", "a text"),
        ({"under_name": "x"}, "under_name", "did you mean underName?"),
        ({"dya": "2026-12-04"}, "dya", "did you mean day?"),
        ({"underName": "x" * ARGUMENTS_LIMIT}, "arguments", "at most"),
        ({"underName": object()}, "arguments", "a JSON object"),
    ],
)
def test_a_problem_names_the_field_and_what_is_expected(arguments: dict[str, Any], field: str, says: str) -> None:
    given_ = {**GOOD, **arguments} if arguments else {}
    with pytest.raises(BadArguments) as caught:
        FOOD.check(given_)
    problem = next(problem for problem in caught.value.problems if problem.field == field)
    assert says in problem.expected
    str(caught.value).encode()


def test_all_problems_at_once_in_the_order_of_the_fields() -> None:
    problems = FOOD.problems({"day": "x", "atTime": "y", "people": "z"})
    assert [problem.field for problem in problems] == ["day", "atTime", "people"]
    assert [slot.name for slot in FOOD.missing({"people": 2})] == ["day", "atTime"]


@given(
    st.dictionaries(
        st.sampled_from(["day", "atTime", "people", "drink", "price", "hot", "odd"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-5, 20),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(max_size=5),
            st.dates(dt.date(1, 1, 1)).map(lambda day: day.isoformat()),
            st.times().map(lambda at: at.strftime("%H:%M")),
            st.sampled_from(["tea", "coffee"]),
            st.lists(st.integers(), max_size=2),
        ),
    )
)
def test_what_the_schema_allows_the_check_allows(arguments: dict[str, Any]) -> None:
    problems = FOOD.problems(arguments)
    checker = jsonschema.Draft202012Validator(FOOD.json_schema, format_checker=jsonschema.FormatChecker(["date"]))
    if checker.is_valid(arguments):
        assert not problems
    elif not problems:
        # The check forgives what it can read: null for an optional one, "4" for 4.
        assert FOOD.check(arguments)


@given(
    st.recursive(st.none() | st.text() | st.floats(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_no_value_makes_the_check_fail_otherwise(value: Any) -> None:
    for name in ("day", "atTime", "people", "price", "size"):
        FOOD.problems({**GOOD, name: value})
    if isinstance(value, dict):
        FOOD.problems(value)


def test_signatures_that_cannot_be_asked_for_are_refused() -> None:
    def untyped(day) -> str:  # type: ignore[no-untyped-def]
        """Text."""
        return ""

    def rest(*days: str) -> str:
        """Text."""
        return ""

    def either(day: int | str) -> str:
        """Text."""
        return ""

    def listed(days: list[str]) -> str:
        """Text."""
        return ""

    def silent(day: str) -> str:
        return ""

    for written in (untyped, rest, either, listed, silent):
        with pytest.raises(SchemaError):
            function()(written)
    with pytest.raises(SchemaError):
        function(budget_s=0)(test_signatures_that_cannot_be_asked_for_are_refused)


def test_the_builtin_functions_are_found_by_name_and_alias() -> None:
    registry = Registry.load()
    assert {"getTime", "getDate", "setTimer", "cancelTimer", "checkAvailability", "bookAppointment"} <= {
        spec.name for spec in registry
    }
    assert registry.get("scheduleAppointment") is registry.get("bookAppointment")
    assert "nothing" not in registry
    with pytest.raises(UnknownFunction):
        registry.get("nothing")
    for spec in registry:
        jsonschema.Draft202012Validator.check_schema(spec.json_schema)


def written(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


OWN = """
from __future__ import annotations
from typing import Annotated
from device.functions import Context, Outcome, Slot, function

@function(origins=("voice",))
def find_room(ctx: Context, people: Annotated[int, Slot("For how many?")]) -> Outcome:
    '''Find a room.'''
    return Outcome({"room": people}, f"Room {people}.")
"""


def test_a_function_of_ones_own_is_one_file(tmp_path: Path) -> None:
    written(tmp_path / "functions", "rooms.py", OWN)
    registry = Registry.load([tmp_path / "functions", tmp_path / "missing"])
    assert registry.get("findRoom").slots[0].question == "For how many?"
    assert "findRoom" in {spec.name for spec in registry.for_origin("voice")}
    assert "findRoom" not in {spec.name for spec in registry.for_origin("web")}


def test_it_may_replace_a_builtin_one(tmp_path: Path) -> None:
    text = OWN.replace("find_room", "schedule_appointment")
    path = written(tmp_path, "own.py", text)
    registry = Registry.load([tmp_path])
    assert registry.get("scheduleAppointment").source == f"wakeline_functions_{path.stem}"
    assert "bookAppointment" not in registry


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def x(:", "line 1: SyntaxError"),
        ("import nothing_of_that_name", "line 1: ModuleNotFoundError"),
        ("\nraise SystemExit(3)", "line 2: SystemExit"),
        (OWN.replace("'''Find a room.'''", ""), "no docstring"),
        (OWN.replace("Annotated[int, ", "Annotated[dict, "), "cannot be asked for"),
        (OWN.replace("Annotated[int, ", "Annotated[Nothing, "), "Nothing"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = written(tmp_path, "broken.py", text)
    with pytest.raises(FunctionFileBroken) as caught:
        Registry.load([tmp_path])
    assert str(path) in str(caught.value)
    assert says in str(caught.value)
    assert caught.value.code == "function-file-broken"


def test_two_files_may_not_have_the_same_function(tmp_path: Path) -> None:
    written(tmp_path, "a.py", OWN)
    written(tmp_path, "b.py", OWN)
    with pytest.raises(FunctionFileBroken, match=r"b\.py.*a\.py"):
        Registry.load([tmp_path])


def test_a_marked_function_stays_a_function() -> None:
    assert order_food(dt.date(2026, 12, 4), dt.time(19), 4) == "Ordered."
    assert isinstance(FOOD, FunctionSpec)
