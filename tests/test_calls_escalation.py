"""One escalation through a scripted link: order, limits, hanging up, faults, and what is known after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import pytest

from device.calls.attempts import Attempt
from device.calls.escalation import Escalation
from device.calls.link import (
    CallRequest,
    CallState,
    CallStatus,
    Cause,
    Destination,
    LinkError,
    LinkRefused,
    LinkUncertain,
    PlacedCall,
)
from device.calls.outcome import UNCERTAIN, Outcome
from device.calls.policy import Budget, CallUnderWay
from device.calls.practice import PracticeLink
from device.calls.watch import CallEvent, Patience
from tests.doubles.house import Hours, MemoryStore, others_first

DESK = Destination("front desk", "scripted")
NURSE = Destination("nurse", "scripted", emergency=True)
DIALLING, RINGING, LIVE = (CallStatus(state) for state in (CallState.DIALLING, CallState.RINGING, CallState.LIVE))
OVER = CallStatus(CallState.ENDED, Cause.COMPLETED, "over")
BLIND = LinkError("no answer")

T = TypeVar("T")


class ScriptedLink:
    """Gives the statuses one by one, the last for ever; keeps what it was asked."""

    name = "scripted"

    def __init__(self, *statuses: CallStatus | LinkError, place: LinkError | None = None, found: bool = True) -> None:
        self.asked: list[str] = []
        self.known_before_placing: list[Attempt] = []
        self.store: MemoryStore | None = None
        self.deaf = False
        """Hanging up fails."""
        self._statuses = list(statuses)
        self._place = place
        self._found = found

    async def place(self, request: CallRequest) -> PlacedCall:
        self.asked.append("place")
        if self.store is not None:
            self.known_before_placing = self.store.open_calls()
        await others_first()
        if self._place is not None:
            raise self._place
        return PlacedCall(request.id, "v1")

    async def find(self, request: CallRequest) -> PlacedCall | None:
        self.asked.append("find")
        return PlacedCall(request.id, "v1") if self._found else None

    async def status(self, call: PlacedCall) -> CallStatus:
        self.asked.append("status")
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        if isinstance(status, LinkError):
            raise status
        return status

    async def hang_up(self, call: PlacedCall) -> None:
        self.asked.append("hang_up")
        if self.deaf:
            raise LinkError("no control")
        self._statuses = [CallStatus(CallState.ENDED, Cause.CANCELLED, "ended by us")]

    async def aclose(self) -> None:
        return None


class House:
    def __init__(self, link: ScriptedLink | PracticeLink, patience: Patience | None = None, budget: int = 6) -> None:
        self.asked = link.asked if isinstance(link, ScriptedLink) else []
        self.hours = Hours()
        self.store = MemoryStore()
        self.events: list[CallEvent] = []
        self.escalation = Escalation(
            {link.name: link},
            self.store,
            self.heard,
            budget=Budget(budget),
            patience=patience,
            clock=self.hours.clock(),
        )
        self.hang_up_on = ""
        """Name of the event at which the user says "hang up"."""

    def heard(self, event: CallEvent) -> None:
        self.events.append(event)
        if type(event).__name__ == self.hang_up_on:
            assert self.escalation.hang_up()

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


def run(work: Awaitable[T]) -> T:
    async def go() -> T:
        return await asyncio.wait_for(work, 10)

    return asyncio.run(go())


def play(house: House, to: Destination = DESK) -> Outcome:
    return run(house.escalation.place(to, "A guest asks."))


def test_recorded_before_it_is_placed_and_told_in_order() -> None:
    link = ScriptedLink(DIALLING, RINGING, RINGING, LIVE, LIVE, OVER)
    house = House(link)
    link.store = house.store
    outcome = play(house)
    assert house.names == ["CallDialling", "CallRinging", "CallLive", "CallEnded"]
    (before,) = link.known_before_placing
    assert (before.destination, before.vendor_id, before.cause) == ("front desk", "", "")
    (attempt,) = house.store.attempts.values()
    assert (attempt.vendor_id, attempt.cause, attempt.detail, attempt.ended_at is not None) == (
        "v1",
        "completed",
        "over",
        True,
    )
    assert outcome.call == attempt.id
    assert house.escalation.under_way == ""


@pytest.mark.parametrize("at", ["CallDialling", "CallRinging", "CallLive"])
def test_hang_up_at_any_moment(at: str) -> None:
    house = House(ScriptedLink(DIALLING, RINGING, LIVE))
    house.hang_up_on = at
    outcome = play(house)
    assert house.asked.count("hang_up") == house.asked.count("place") == 1
    assert (outcome.cause, outcome.answered) == (Cause.CANCELLED, at == "CallLive")
    assert not house.escalation.hang_up()


@pytest.mark.parametrize(
    ("statuses", "cause", "at_least"), [((RINGING,), Cause.NO_ANSWER, 60), ((RINGING, LIVE), Cause.COMPLETED, 600)]
)
def test_no_call_lasts_for_ever(statuses: Sequence[CallStatus], cause: Cause, at_least: float) -> None:
    house = House(ScriptedLink(*statuses))
    assert play(house).cause is cause
    assert at_least <= house.hours.elapsed <= at_least + 10
    assert house.asked[-2:] == ["hang_up", "status"]


def test_a_call_that_cannot_be_ended_is_said_to_go_on() -> None:
    link = ScriptedLink(LIVE)
    link.deaf = True
    house = House(link)
    house.hang_up_on = "CallLive"
    outcome = play(house)
    assert (outcome.code, link.asked.count("hang_up")) == ("call-not-hung-up", 3)
    assert outcome.sentence == "I couldn't end the call to the front desk. It may still be going on."


def test_a_moment_without_status_is_borne_and_a_long_one_told() -> None:
    house = House(ScriptedLink(RINGING, BLIND, BLIND, BLIND, LIVE, OVER))
    assert play(house).code == "call-completed"
    house = House(ScriptedLink(LIVE, BLIND))
    outcome = play(house)
    assert (outcome.code, outcome.cause, outcome.detail) == ("call-out-of-sight", Cause.UNKNOWN, "no answer")
    assert 90 <= house.hours.elapsed <= 95


def test_a_vendor_is_not_asked_too_often() -> None:
    house = House(ScriptedLink(RINGING, LIVE, LinkRefused("too many", 429), LIVE, OVER))
    assert play(house).code == "call-completed"
    assert [wait for wait in house.hours.waited if wait] == [1, 4, 30, 4]


def test_an_uncertain_call_is_looked_for_with_growing_waits_and_never_placed_again() -> None:
    link = ScriptedLink(OVER, place=LinkUncertain("stalled"), found=False)
    house = House(link)
    assert play(house).sentence == UNCERTAIN
    assert (link.asked, house.hours.waited) == (["place", "find", "find", "find", "find"], [1, 2, 4, 8])


def test_one_call_at_a_time() -> None:
    house = House(ScriptedLink(RINGING))

    async def two() -> tuple[Outcome, Outcome]:
        first = asyncio.create_task(house.escalation.place(DESK, "first"))
        await others_first()
        second = await house.escalation.place(DESK, "second")
        with pytest.raises(CallUnderWay):
            await house.escalation.resume()
        house.escalation.hang_up()
        return await first, second

    first, second = run(two())
    assert (first.cause, second.code, second.call) == (Cause.CANCELLED, "call-under-way", "")
    assert (house.asked.count("place"), len(house.store.attempts)) == (1, 1)


def test_budget_counts_the_last_hour_and_spares_emergencies() -> None:
    house = House(ScriptedLink(OVER), budget=2)
    assert [play(house).code for _ in range(3)] == ["call-completed", "call-completed", "call-budget-spent"]
    assert play(house, NURSE).code == "call-completed"
    house.hours.waited.append(3601.0)
    assert play(house).code == "call-completed"


def test_without_a_record_only_an_emergency_is_placed() -> None:
    house = House(ScriptedLink(OVER))
    house.store.failing = True
    assert (play(house).code, house.asked) == ("store-failed", [])
    outcome = play(house, NURSE)
    assert (outcome.code, house.asked.count("place")) == ("call-completed", 1)


def test_a_store_that_fails_later_does_not_lose_the_call() -> None:
    link = ScriptedLink(RINGING, LIVE, OVER)
    house = House(link)
    original = house.heard

    def heard(event: CallEvent) -> None:
        house.store.failing = True
        original(event)

    house.escalation = Escalation({link.name: link}, house.store, heard, clock=house.hours.clock())
    assert play(house).code == "call-completed"
    assert [each.id for each in house.store.open_calls()] == [house.events[0].call]


def test_an_unknown_link_is_not_ready() -> None:
    outcome = play(House(ScriptedLink(OVER)), Destination("front desk", "pigeon"))
    assert (outcome.code, "pigeon" in outcome.detail) == ("link-not-ready", True)


def test_the_end_of_the_app_leaves_the_attempt_open_and_the_next_start_finds_it() -> None:
    house = House(ScriptedLink(RINGING))

    async def stop_while_ringing() -> None:
        task = asyncio.create_task(house.escalation.place(DESK, "A guest asks."))
        while "CallRinging" not in house.names:
            await others_first()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(stop_while_ringing())
    assert (house.names[-1], len(house.store.open_calls())) == ("CallEnded", 1)
    assert house.store.open_calls()[0].vendor_id == "v1"

    link = ScriptedLink(LIVE, OVER)
    later = Escalation({link.name: link}, house.store, house.heard, clock=house.hours.clock())
    (outcome,) = run(later.resume())
    assert (outcome.cause, outcome.answered, link.asked) == (Cause.COMPLETED, True, ["status", "status"])
    assert house.store.open_calls() == []


@pytest.mark.parametrize(("found", "code"), [(True, "call-completed"), (False, "link-uncertain")])
def test_after_a_crash_while_placing_the_vendor_is_asked_and_nothing_is_placed(found: bool, code: str) -> None:
    link = ScriptedLink(OVER, found=found)
    house = House(link)
    house.store.record_call(Attempt("a1", house.hours.clock().now() - 20, "front desk", link.name, ""))
    (outcome,) = run(house.escalation.resume())
    assert (outcome.call, outcome.code) == ("a1", code)
    assert "place" not in link.asked
    assert house.store.open_calls() == []
    assert run(house.escalation.resume()) == []


def test_a_practice_call_says_so() -> None:
    hours = Hours()
    house = House(PracticeLink(sleep=hours.sleep))
    outcome = play(house, Destination("front desk", "practice"))
    assert outcome.sentence == (
        "This was a practice call, nobody was rung. The front desk answered. The call has ended."
    )
    assert house.names == ["CallDialling", "CallRinging", "CallLive", "CallEnded"]


def test_a_practice_call_does_not_outlive_its_process() -> None:
    house = House(PracticeLink())
    house.store.record_call(Attempt("a1", 0.0, "front desk", "practice", "", vendor_id="practice-a1"))
    (outcome,) = run(house.escalation.resume())
    assert outcome.cause is Cause.CANCELLED
