"""The ears die or freeze in the middle of a visit: it listens again at once, and nothing that was done goes untold."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.live_rig import Appliance, appliance, spoken
from tests.virtual_card import VirtualCard, missing, virtual_card, wait_until

pytestmark = [pytest.mark.sound, pytest.mark.skipif(missing() is not None, reason=str(missing()))]
MOST_S = 5.0
Moment = Callable[[Appliance, int], object]


@pytest.fixture(scope="module")
def card() -> Iterator[VirtualCard]:
    with virtual_card() as card:
        yield card


@pytest.fixture(scope="module")
def running(card: VirtualCard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """One app for all: it is never started again."""
    with appliance(tmp_path_factory.mktemp("crash"), card.env) as running:
        running.wait_to_hear()
        yield running


def nothing_more_is_said(running: Appliance, after: int) -> None:
    """What is said next is what we ask for now."""
    wait_until(lambda: bool(running.status()) and running.status()["state"] == "listening", 5, "it listens")
    running.ask("say", text="That was all.")
    running.wait_for("ReplyFinished", after=after, where=lambda entry: entry["heard"] == "That was all.")
    assert running.said(after) == ["That was all."]


def test_it_listens_again_and_answers(card: VirtualCard, running: Appliance) -> None:
    mark = running.mark
    took = running.recovered(running.strike(signal.SIGSEGV), mark)
    print(f"listening again after {took:.2f} s")
    assert took <= MOST_S
    card.play(spoken("joe", "Hey Jarvis, what time is it?"))
    assert running.wait_for("ReplyFinished", after=mark)["heard"].startswith("It's ")
    assert running.process.poll() is None


def committed(running: Appliance, _: int) -> None:
    wait_until(lambda: bool(running.unheard()), 20, "the booking is in the store")


def speaking(running: Appliance, mark: int) -> None:
    running.wait_for("ReplyStarted", after=mark)


def understood(running: Appliance, mark: int) -> None:
    running.wait_for("FinalText", after=mark)


@pytest.mark.parametrize(
    ("hour", "number", "moment"),
    [
        (5, signal.SIGKILL, committed),
        (6, signal.SIGSEGV, speaking),
        (7, signal.SIGSTOP, understood),
    ],
    ids=["committed", "speaking", "frozen"],
)
def test_a_booking_of_that_moment_is_told_once(
    card: VirtualCard, running: Appliance, hour: int, number: int, moment: Moment
) -> None:
    mark = running.request(card, f"Book an appointment tomorrow at {hour} p.m.")
    moment(running, mark)
    at = running.mark
    took = running.recovered(running.strike(number), at)
    print(f"{signal.Signals(number).name}: listening again after {took:.2f} s")
    assert took <= MOST_S + 2.0 * (number == signal.SIGSTOP)
    told = running.wait_for("ReplyFinished", after=mark)
    assert str(hour) in told["heard"] or "booked" in told["heard"]
    wait_until(lambda: running.unheard() == [], 5, "it counts as heard")
    assert [entry.starts.hour for entry in running.appointments()].count(12 + hour) == 1
    assert running.said(mark) == [told["heard"]]
    nothing_more_is_said(running, running.mark)
    assert running.process.poll() is None


def test_a_timer_rings_through_it_all(card: VirtualCard, running: Appliance) -> None:
    mark = running.request(card, "Set a timer for six seconds.")
    running.wait_for("ReplyFinished", after=mark)
    at = running.mark
    running.recovered(running.strike(), at)
    over = running.wait_for("ReplyFinished", after=at)
    assert "is over" in over["heard"]
    running.wait_for("AlertRaised", after=at)
    ringing = running.mark
    running.recovered(running.strike(), ringing)
    running.wait_for("AlertRaised", after=ringing)
    running.stop_the_ring(card)
    assert not [line for line in running.said(ringing) if "is over" in line], "that was heard before"
