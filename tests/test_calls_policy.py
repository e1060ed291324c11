"""Who may be called, when, and by which name: pure rules."""

from __future__ import annotations

import pytest

from device.calls.link import Destination
from device.calls.policy import (
    Budget,
    BudgetSpent,
    CallUnderWay,
    UnknownDestination,
    check,
    find_destination,
    needs_consent,
    spoken_name,
)

DESK = Destination("front desk", "practice")
ANNA = Destination("Anna", "vapi", "+12025550143")
NURSE = Destination("the nurse", "twilio", "+12025550199", emergency=True)
ALL = (NURSE, DESK, ANNA)


@pytest.mark.parametrize(
    ("spoken", "meant"),
    [
        ("front desk", DESK),
        ("The Front Desk.", DESK),
        ("the front disk", DESK),
        ("anna", ANNA),
        ("ana", ANNA),
        ("nurse", NURSE),
        ("the nurse", NURSE),
        ("a person", DESK),
        ("a real person", DESK),
        ("somebody", DESK),
        ("", DESK),
    ],
)
def test_names(spoken: str, meant: Destination) -> None:
    assert find_destination(ALL, spoken) is meant


@pytest.mark.parametrize("spoken", ["the kitchen", "the purse", "nurses", "police"])
def test_an_emergency_is_never_guessed_and_strangers_are_told_who_is_known(spoken: str) -> None:
    with pytest.raises(UnknownDestination) as refusal:
        find_destination(ALL, spoken)
    assert refusal.value.sentence.endswith("I can call the nurse or the front desk or Anna.")


def test_nobody_to_call() -> None:
    with pytest.raises(UnknownDestination, match="Nobody is set up"):
        find_destination((), "a person")


def test_consent() -> None:
    assert [needs_consent(each) for each in ALL] == [False, True, True]


def test_budget() -> None:
    check(DESK, Budget(2), 1, under_way=False)
    with pytest.raises(BudgetSpent) as refusal:
        check(DESK, Budget(2), 2, under_way=False)
    assert (refusal.value.code, refusal.value.sentence[-23:]) == ("call-budget-spent", "Please try again later.")
    check(NURSE, Budget(2), 2, under_way=False)


def test_one_call_at_a_time() -> None:
    with pytest.raises(CallUnderWay):
        check(NURSE, Budget(), 0, under_way=True)


def test_names_in_sentences() -> None:
    assert [spoken_name(each) for each in ALL] == ["the nurse", "the front desk", "Anna"]
