"""A recording asks for the front desk and says yes: one call asked for, its outcome told, whatever the vendor does."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import pytest

from audio.events import CallDialling, CallEnded, CallLive, NoticeDecided, ReplyFinished
from audio.frames import Pcm
from audio.replay import Trace
from device.bench.speech import assemble, joined
from device.calls.link import Link
from device.calls.links import TwilioAccount, VapiAccount, make_links
from device.calls.outcome import UNCERTAIN
from device.calls.practice import PracticeLink, Script
from device.session import recorded
from device.settings import DestinationSection
from tests.doubles import twilio as fake_twilio
from tests.doubles import vapi as fake_vapi
from tests.doubles.loopback import Scenario
from tests.offline_house import ZONE, answers, of, session, spoken, transcribed
from tests.wer import wer

pytestmark = [pytest.mark.calls, pytest.mark.models]

QUICK, PATIENT = 0.3, 20.0
"""Seconds after which an answer is given up: where it never comes, and where a busy machine may be late."""
SCRIPTS = {
    Scenario.ANSWER: Script.ANSWERED,
    Scenario.REFUSE: Script.REFUSED,
    Scenario.STALL: Script.STALLED,
    Scenario.DIE: Script.DIED,
}
QUESTION, PLACING = "Shall I call the front desk?", "Calling the front desk."
REHEARSED = "This was a practice call, nobody was rung. "


@dataclass(frozen=True)
class Stage:
    """The links of the house, and what the vendor counted."""

    links: Mapping[str, Link]
    requests: Callable[[], int]
    """Requests to place a call."""
    placed: Callable[[], int]
    """Calls that exist at the vendor."""


Setting = Callable[[str, Scenario, int], Stage]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ExitStack() as stack:

        def build(link: str, scenario: Scenario, status: int) -> Stage:
            timeout = QUICK if scenario is Scenario.STALL else PATIENT
            if link == "practice":
                practice = PracticeLink(SCRIPTS[scenario], refused_status=status, pace=0)
                return Stage(make_links(practice=practice), lambda: practice.requests, lambda: practice.placed)
            double: fake_vapi.FakeVapi | fake_twilio.FakeTwilio
            if link == "vapi":
                double = stack.enter_context(fake_vapi.FakeVapi(scenario, refuse_status=status))
                keys = (fake_vapi.KEY, fake_vapi.ASSISTANT, fake_vapi.NUMBER)
                links = make_links(VapiAccount(*keys, base_url=double.url, timeout=timeout))
            else:
                double = stack.enter_context(fake_twilio.FakeTwilio(scenario, refuse_status=status))
                keys = (fake_twilio.ACCOUNT, fake_twilio.TOKEN, fake_twilio.FROM)
                links = make_links(None, TwilioAccount(*keys, base_url=double.url, timeout=timeout))
            return Stage(links, lambda: len(double.creations), lambda: double.placed)

        yield build


@pytest.fixture(scope="module")
def recording() -> Pcm:
    """The consent comes 3.2 s after the wish: when the question has been asked."""
    wish = joined("hibari", ["Hey Jarvis.", 700, "I want to talk to a person."])
    return assemble([wish, 3200, joined("hibari", ["Yes, please."])], tail_ms=500)


CASES = [
    (Scenario.ANSWER, 0, "call-completed", 1, "The front desk answered. The call has ended."),
    (
        Scenario.REFUSE,
        401,
        "link-refused-401",
        0,
        "I can't call the front desk: the call service does not accept our account.",
    ),
    (
        Scenario.REFUSE,
        402,
        "link-refused-402",
        0,
        "I can't call the front desk: our account at the call service has run out of credit.",
    ),
    (
        Scenario.REFUSE,
        404,
        "link-refused-404",
        0,
        "I can't call the front desk: the call service doesn't know our number or assistant.",
    ),
    (Scenario.STALL, 0, "link-uncertain", 0, UNCERTAIN),
    (Scenario.DIE, 0, "call-completed", 1, "The front desk answered. The call has ended."),
]


@pytest.mark.parametrize("link", ["practice", "vapi", "twilio"])
@pytest.mark.parametrize(
    ("scenario", "status", "code", "placed", "outcome"), CASES, ids=[f"{case[0]}-{case[1] or ''}" for case in CASES]
)
def test_the_outcome_is_spoken_and_one_call_was_asked_for(
    stage: Setting,
    recording: Pcm,
    tmp_path: Path,
    link: Literal["practice", "vapi", "twilio"],
    scenario: Scenario,
    status: int,
    code: str,
    placed: int,
    outcome: str,
) -> None:
    scene = stage(link, scenario, status)
    destination = DestinationSection(link=link, address="+12025550143")
    # Twilio's search compares wall time with the double's: the recording begins now.
    played = session(
        recorded(recording), tmp_path, destination=destination, links=scene.links, start=datetime.now(ZONE)
    )
    sentence = (REHEARSED if link == "practice" else "") + outcome
    assert answers(played.trace) == [QUESTION, PLACING, sentence]
    assert (scene.requests(), scene.placed()) == (1, placed)
    answered = code == "call-completed"
    assert attempt(tmp_path) == (link, code, answered)
    check_order(played.trace, sentence, live=answered)


def attempt(folder: Path) -> tuple[str, str, bool]:
    """What the record says of the only attempt, which is closed: link, code, answered."""
    with contextlib.closing(sqlite3.connect(folder / "house.db")) as database:
        ((state, link, code, answered),) = database.execute("SELECT state, link, code, answered FROM calls")
    assert state == "ended"
    return str(link), str(code), bool(answered)


def check_order(trace: Trace, sentence: str, *, live: bool) -> None:
    """Nothing is dialled before the consent; the outcome is told when the call is over."""
    (dialling,), (ended,), lived = of(trace, CallDialling), of(trace, CallEnded), of(trace, CallLive)
    asked = next(reply for reply in of(trace, ReplyFinished) if reply.heard == QUESTION)
    (told,) = [notice for notice in of(trace, NoticeDecided) if notice.text == sentence]
    assert asked.at < dialling.at <= ended.at <= told.at
    assert len(lived) == live


def test_the_outcome_is_understood_by_a_listener(stage: Setting, recording: Pcm, tmp_path: Path) -> None:
    scene = stage("practice", Scenario.REFUSE, 402)
    trace = session(recorded(recording), tmp_path, links=scene.links).trace
    meant, sound = spoken(trace)[-1]
    assert meant.startswith(REHEARSED)
    assert wer(meant, transcribed(sound)) <= 0.1
    assert scene.requests() == 1


def test_who_says_no_is_not_called(stage: Setting, tmp_path: Path) -> None:
    wish = joined("hibari", ["Hey Jarvis.", 700, "Call the front desk."])
    recording = assemble([wish, 3200, joined("hibari", ["No, thank you."])], tail_ms=500)
    scene = stage("vapi", Scenario.ANSWER, 0)
    destination = DestinationSection(link="vapi", address="+12025550143")
    trace = session(recorded(recording), tmp_path, destination=destination, links=scene.links).trace
    assert answers(trace) == [QUESTION, "All right, I won't call."]
    assert (scene.requests(), of(trace, CallDialling)) == (0, [])
