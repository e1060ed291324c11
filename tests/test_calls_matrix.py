"""Every link against a vendor that answers, refuses, is busy, stalls or dies: right outcome, one request, never two."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from device.calls.escalation import Escalation
from device.calls.link import Cause, Destination, Link
from device.calls.links import TwilioAccount, VapiAccount, close_links, make_links
from device.calls.outcome import UNCERTAIN, Outcome
from device.calls.practice import PracticeLink, Script
from device.calls.watch import CallEvent, Clock
from tests.doubles import twilio as fake_twilio
from tests.doubles import vapi as fake_vapi
from tests.doubles.house import Hours, MemoryStore
from tests.doubles.loopback import Scenario

pytestmark = pytest.mark.calls

QUICK, PATIENT = 0.4, 20.0
"""Seconds after which an answer is given up: where it never comes, and where a busy machine may be late."""


@dataclass
class Stage:
    """One link with the vendor behind it."""

    links: dict[str, Link]
    link: str
    requests: Callable[[], int]
    placed: Callable[[], int]
    hours: Hours = field(default_factory=lambda: Hours(time.time()))
    store: MemoryStore = field(default_factory=MemoryStore)
    events: list[CallEvent] = field(default_factory=list)

    def call(self, name: str = "front desk", emergency: bool = False) -> Outcome:
        async def go() -> Outcome:
            # Twilio's search compares wall time with the double's: it must be the real one.
            clock = Clock(time.time, self.hours.clock().steady, self.hours.sleep)
            escalation = Escalation(self.links, self.store, self.events.append, clock=clock)
            destination = Destination(name, self.link, "+12025550143", emergency)
            try:
                return await escalation.place(
                    destination, "Someone asked to talk to a person.", "Wants a late check-out."
                )
            finally:
                await close_links(self.links)

        return asyncio.run(go())


_SCRIPTS = {
    Scenario.ANSWER: Script.ANSWERED,
    Scenario.BUSY: Script.BUSY,
    Scenario.NO_ANSWER: Script.NO_ANSWER,
    Scenario.REFUSE: Script.REFUSED,
    Scenario.STALL: Script.STALLED,
    Scenario.DIE: Script.DIED,
    Scenario.SLOW_DIE: Script.DIED,
}

Setting = Callable[[str, Scenario, int], Stage]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ExitStack() as stack:

        def build(link: str, scenario: Scenario, status: int) -> Stage:
            hours = Hours(time.time())
            timeout = QUICK if scenario is Scenario.STALL else PATIENT
            if link == "practice":
                practice = PracticeLink(_SCRIPTS[scenario], refused_status=status, sleep=hours.sleep)
                links = dict(make_links(practice=practice))
                return Stage(links, link, lambda: practice.requests, lambda: practice.placed, hours)
            double: fake_vapi.FakeVapi | fake_twilio.FakeTwilio
            if link == "vapi":
                double = stack.enter_context(fake_vapi.FakeVapi(scenario, refuse_status=status))
                account = VapiAccount(
                    fake_vapi.KEY, fake_vapi.ASSISTANT, fake_vapi.NUMBER, base_url=double.url, timeout=timeout
                )
                links = dict(make_links(account))
            else:
                double = stack.enter_context(fake_twilio.FakeTwilio(scenario, refuse_status=status))
                phone = TwilioAccount(
                    fake_twilio.ACCOUNT, fake_twilio.TOKEN, fake_twilio.FROM, base_url=double.url, timeout=timeout
                )
                links = dict(make_links(None, phone))

            def requests() -> int:
                assert double.reached.wait(PATIENT)
                return len(double.creations)

            return Stage(links, link, requests, lambda: double.placed, hours)

        yield build


CASES = [
    # scenario, status, cause, code, answered, placed, words of the sentence
    (Scenario.ANSWER, 0, Cause.COMPLETED, "call-completed", True, 1, "The front desk answered. The call has ended."),
    (Scenario.BUSY, 0, Cause.BUSY, "call-busy", False, 1, "The line to the front desk is busy."),
    (Scenario.NO_ANSWER, 0, Cause.NO_ANSWER, "call-no-answer", False, 1, "The front desk did not answer."),
    (Scenario.REFUSE, 401, Cause.REFUSED, "link-refused-401", False, 0, "does not accept our account"),
    (Scenario.REFUSE, 402, Cause.REFUSED, "link-refused-402", False, 0, "has run out of credit"),
    (Scenario.REFUSE, 403, Cause.REFUSED, "link-refused-403", False, 0, "does not accept our account"),
    (Scenario.REFUSE, 404, Cause.REFUSED, "link-refused-404", False, 0, "doesn't know our number or assistant"),
    (Scenario.REFUSE, 409, Cause.REFUSED, "link-refused-409", False, 0, "refused the call"),
    (Scenario.REFUSE, 429, Cause.REFUSED, "link-refused-429", False, 0, "has too many calls"),
    (Scenario.STALL, 0, Cause.UNKNOWN, "link-uncertain", False, 0, UNCERTAIN),
    (Scenario.DIE, 0, Cause.COMPLETED, "call-completed", True, 1, "The front desk answered. The call has ended."),
    (Scenario.SLOW_DIE, 0, Cause.COMPLETED, "call-completed", True, 1, "The front desk answered."),
]


@pytest.mark.parametrize("link", ["vapi", "twilio", "practice"])
@pytest.mark.parametrize(
    ("scenario", "status", "cause", "code", "answered", "placed", "sentence"), CASES, ids=lambda value: str(value)[:20]
)
def test_one_request_and_the_right_outcome(
    stage: Setting,
    link: str,
    scenario: Scenario,
    status: int,
    cause: Cause,
    code: str,
    answered: bool,
    placed: int,
    sentence: str,
) -> None:
    scene = stage(link, scenario, status)
    outcome = scene.call()
    assert (outcome.cause, outcome.code, outcome.answered) == (cause, code, answered)
    assert sentence in outcome.sentence
    assert ("practice call" in outcome.sentence) == (link == "practice")
    assert (scene.requests(), scene.placed()) == (1, placed)
    assert [type(event).__name__ for event in (scene.events[0], scene.events[-1])] == ["CallDialling", "CallEnded"]
    assert ("CallLive" in [type(event).__name__ for event in scene.events]) == answered
    (attempt,) = scene.store.attempts.values()
    assert (attempt.cause, attempt.code, attempt.answered) == (cause.value, code, answered)
    assert bool(attempt.vendor_id) == bool(placed)
    assert scene.store.open_calls() == []


@pytest.mark.parametrize("link", ["vapi", "twilio"])
@pytest.mark.parametrize("status", [500, 503])
def test_a_vendor_that_fails_has_placed_nothing(stage: Setting, link: str, status: int) -> None:
    scene = stage(link, Scenario.REFUSE, status)
    outcome = scene.call()
    assert (outcome.cause, outcome.code, scene.requests()) == (Cause.FAILED, "link-failed", 1)
    assert outcome.sentence == "I couldn't reach the call service, so the front desk was not called."


@pytest.mark.parametrize("link", ["vapi", "twilio"])
def test_a_gateway_that_got_no_answer_leaves_the_call_uncertain(stage: Setting, link: str) -> None:
    scene = stage(link, Scenario.REFUSE, 504)
    outcome = scene.call()
    assert (outcome.code, outcome.sentence, scene.requests()) == ("link-uncertain", UNCERTAIN, 1)


@pytest.mark.parametrize("link", ["vapi", "twilio"])
def test_nobody_listening_is_a_plain_failure(link: str) -> None:
    nobody = "http://127.0.0.1:9"
    links = make_links(
        VapiAccount("key", "assistant", "number", base_url=nobody),
        TwilioAccount(fake_twilio.ACCOUNT, "token", fake_twilio.FROM, base_url=nobody),
    )
    scene = Stage(dict(links), link, lambda: 0, lambda: 0)
    assert scene.call().code == "link-failed"


@pytest.mark.parametrize(
    ("link", "variables"),
    [
        ("vapi", "VAPI_API_KEY, VAPI_ASSISTANT_ID, VAPI_PHONE_NUMBER_ID"),
        ("twilio", "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_NUMBER"),
    ],
)
def test_a_link_without_an_account_says_what_to_set(link: str, variables: str) -> None:
    scene = Stage(dict(make_links()), link, lambda: 0, lambda: 0)
    outcome = scene.call()
    assert (outcome.code, outcome.sentence) == (
        "link-not-ready",
        "I can't call the front desk, because calls are not set up yet.",
    )
    assert variables in outcome.detail


def test_after_an_emergency_call_that_failed_nobody_waits_for_help(stage: Setting) -> None:
    outcome = stage("vapi", Scenario.NO_ANSWER, 0).call("nurse", emergency=True)
    assert outcome.sentence == "The nurse did not answer. Please get help another way."
