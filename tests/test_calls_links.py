"""What is particular to one link: searching, hanging up, secrets, magic numbers, reasons."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar
from xml.etree import ElementTree

import pytest

from device.calls import twilio, vapi
from device.calls.link import (
    CallRequest,
    CallState,
    Cause,
    Destination,
    LinkError,
    LinkNotReady,
    LinkRefused,
    LinkUncertain,
    PlacedCall,
)
from device.calls.vendor import masked
from tests import judges
from tests.doubles import twilio as fake_twilio
from tests.doubles import vapi as fake_vapi
from tests.doubles.loopback import Scenario

pytestmark = pytest.mark.calls

T = TypeVar("T")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def request(address: str = fake_twilio.TO, *, id: str = "0" * 31 + "a", ago: float = 0.0) -> CallRequest:
    return CallRequest(
        id, Destination("front desk", "any", address), "A guest asks.", "Room 12 <wet>", time.time() - ago
    )


def with_vapi(double: fake_vapi.FakeVapi, work: Callable[[vapi.VapiLink], Awaitable[T]], key: str = fake_vapi.KEY) -> T:
    async def go() -> T:
        link = vapi.VapiLink(key, fake_vapi.ASSISTANT, fake_vapi.NUMBER, base_url=double.url, timeout=20)
        try:
            return await work(link)
        finally:
            await link.aclose()

    return asyncio.run(go())


def twilio_link(double: fake_twilio.FakeTwilio, number: str = fake_twilio.FROM) -> twilio.TwilioLink:
    return twilio.TwilioLink(fake_twilio.ACCOUNT, fake_twilio.TOKEN, number, base_url=double.url, timeout=20)


# -- Vapi ---------------------------------------------------------------------------------------------------------
def test_vapi_hang_up_uses_the_control_url_and_is_idempotent() -> None:
    async def play(link: vapi.VapiLink) -> list[CallState]:
        call = await link.place(request())
        before = (await link.status(call)).state
        await link.hang_up(call)
        await link.hang_up(call)
        return [before, (await link.status(call)).state]

    with fake_vapi.FakeVapi() as double:
        assert with_vapi(double, play) == [CallState.DIALLING, CallState.ENDED]
        assert double.controls == [{"type": "end-call"}] * 2
        assert double.calls[0]["endedReason"] == "manually-canceled"


def test_vapi_learns_the_control_url_again_after_a_restart() -> None:
    with fake_vapi.FakeVapi() as double:
        call = with_vapi(double, lambda link: link.place(request()))
        with_vapi(double, lambda link: link.hang_up(call))
        assert (len(double.controls), len(double.creations)) == (1, 1)


def test_vapi_without_a_control_url_says_so_instead_of_deleting_the_call() -> None:
    async def play(link: vapi.VapiLink) -> None:
        await link.hang_up(await link.place(request()))

    with fake_vapi.FakeVapi(control=False) as double:
        with pytest.raises(LinkError, match="no control URL"):
            with_vapi(double, play)
        assert "DELETE" not in [each.method for each in double.requests]


@pytest.mark.parametrize("where", ["call", "overrides", "name"])
def test_vapi_finds_an_uncertain_call_wherever_our_id_comes_back(where: str) -> None:
    with fake_vapi.FakeVapi(Scenario.DIE) as double:
        with pytest.raises(LinkUncertain):
            with_vapi(double, lambda link: link.place(request()))
        call = double.calls[0]
        metadata = call.pop("assistantOverrides")["metadata"]
        if where != "name":
            call["name"] = "something else"
        if where == "call":
            call["metadata"] = metadata
        if where == "overrides":
            call["assistantOverrides"] = {"metadata": metadata}
        assert with_vapi(double, lambda link: link.find(request())) == PlacedCall(request().id, "call-1")
        assert with_vapi(double, lambda link: link.find(request(id="another"))) is None


def test_vapi_secrets_and_numbers_stay_out_of_logs_and_errors(caplog: pytest.LogCaptureFixture) -> None:
    async def play(link: vapi.VapiLink) -> None:
        await link.hang_up(await link.place(request()))

    with caplog.at_level(logging.INFO), fake_vapi.FakeVapi() as double:
        with_vapi(double, play)
        double.scenario, double.refuse_status = Scenario.REFUSE, 400
        with pytest.raises(LinkRefused) as refused:
            with_vapi(double, lambda link: link.place(request()))
    text = caplog.text + str(refused.value)
    assert refused.value.status == 400
    assert "<number>" in text
    assert not [secret for secret in ("secret/control", fake_vapi.KEY, "2025550143") if secret in text]


def test_vapi_with_a_wrong_key_is_refused() -> None:
    with fake_vapi.FakeVapi() as double, pytest.raises(LinkRefused) as refused:
        with_vapi(double, lambda link: link.place(request()), key="public")
    assert refused.value.status == 401


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("customer-busy", Cause.BUSY),
        ("customer-did-not-answer", Cause.NO_ANSWER),
        ("voicemail", Cause.NO_ANSWER),
        ("customer-ended-call", Cause.COMPLETED),
        ("assistant-ended-call-after-message-spoken", Cause.COMPLETED),
        ("silence-timed-out", Cause.COMPLETED),
        ("exceeded-max-duration", Cause.COMPLETED),
        ("manually-canceled", Cause.CANCELLED),
        ("call.start.error-subscription-insufficient-credits", Cause.REFUSED),
        ("twilio-failed-to-connect-call", Cause.FAILED),
        ("call.in-progress.error-vapifault-worker-died", Cause.FAILED),
        ("call.in-progress.error-providerfault-outbound-sip-480-temporarily-unavailable", Cause.NO_ANSWER),
        ("a-reason-of-the-year-2030", Cause.UNKNOWN),
        ("", Cause.UNKNOWN),
    ],
)
def test_vapi_end_reasons(reason: str, cause: Cause) -> None:
    status = vapi.state_of({"status": "ended", "endedReason": reason})
    assert (status.state, status.cause) == (CallState.ENDED, cause)


def test_every_vapi_end_reason_of_today_has_a_cause() -> None:
    reasons = judges.vapi_fixture()["Call"]["properties"]["endedReason"]["enum"]
    assert len(reasons) > 600
    assert [reason for reason in reasons if vapi.cause_of(reason) is Cause.UNKNOWN] == []


@pytest.mark.parametrize(
    ("call", "state"),
    [
        ({"status": "of-the-future"}, CallState.DIALLING),
        ({"status": "of-the-future", "startedAt": "2026"}, CallState.LIVE),
        ({"status": "of-the-future", "endedReason": "customer-busy"}, CallState.ENDED),
        ({"status": "not-found"}, CallState.ENDED),
        ({"status": "forwarding"}, CallState.LIVE),
    ],
)
def test_vapi_statuses(call: dict[str, str], state: CallState) -> None:
    assert vapi.state_of(call).state is state


# -- Twilio -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("to", "sender", "code"),
    [
        ("+15005550001", fake_twilio.FROM, 21217),
        ("+15005550002", fake_twilio.FROM, 21214),
        ("+15005550003", fake_twilio.FROM, 21215),
        ("+15005550004", fake_twilio.FROM, 21216),
        (fake_twilio.TO, "+15005550001", 21212),
        (fake_twilio.TO, "+12025550100", 21210),
    ],
)
def test_twilio_magic_numbers(to: str, sender: str, code: int) -> None:
    with fake_twilio.FakeTwilio() as double, pytest.raises(LinkRefused, match=str(code)) as refused:
        asyncio.run(twilio_link(double, sender).place(request(to)))
    assert (refused.value.status, double.placed) == (400, 0)
    assert to not in str(refused.value)


def test_twilio_hang_up_is_idempotent() -> None:
    async def play(link: twilio.TwilioLink) -> CallState:
        call = await link.place(request())
        await link.hang_up(call)
        await link.hang_up(call)
        return (await link.status(call)).state

    with fake_twilio.FakeTwilio() as double:
        assert asyncio.run(play(twilio_link(double))) is CallState.ENDED
        assert double.updates == [{"Status": "completed"}] * 2


@pytest.mark.parametrize("clock_error", [timedelta(), timedelta(days=400), timedelta(hours=-7)], ids=str)
def test_twilio_finds_by_age_whatever_the_devices_clock_says(clock_error: timedelta) -> None:
    with fake_twilio.FakeTwilio(clock_error=clock_error) as double:
        double.add_call(fake_twilio.TO, timedelta(minutes=10))
        double.add_call(fake_twilio.TO, timedelta(), direction="inbound")
        double.add_call("+12025550199", timedelta())
        look = twilio_link(double).find
        assert asyncio.run(look(request(ago=5))) is None
        ours = double.add_call(fake_twilio.TO, timedelta(seconds=4))
        assert asyncio.run(look(request(ago=5))) == PlacedCall(request().id, ours)


def test_twilio_does_not_guess_when_the_time_of_the_attempt_is_unknown() -> None:
    with fake_twilio.FakeTwilio() as double:
        double.add_call(fake_twilio.TO, timedelta())
        asked = CallRequest("id", Destination("front desk", "twilio", fake_twilio.TO), "A guest asks.")
        assert asyncio.run(twilio_link(double).find(asked)) is None


def test_twilio_logs_neither_account_nor_number(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), fake_twilio.FakeTwilio() as double:
        asyncio.run(twilio_link(double).place(request()))
    assert caplog.text == ""


def test_the_message_says_who_calls_and_why_and_escapes_what_people_said() -> None:
    xml = twilio.message(request(), "the assistant of room 12")
    said = [node.text or "" for node in ElementTree.fromstring(xml).iter("Say")]
    assert (
        said
        == [
            "Hello, this is the assistant of room 12. I am calling for the front desk. A guest asks. "
            "This is what was said so far: Room 12 <wet>."
        ]
        * 2
    )
    long = twilio.message(CallRequest("id", request().destination, "why", "&" * 5000))
    assert len(long) <= 4000


# -- both ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("address", ["", "911 or so", "020 7946 0000", "+0123456789"])
def test_an_address_that_cannot_be_dialled_sends_nothing(address: str) -> None:
    with fake_vapi.FakeVapi() as double:
        with pytest.raises(LinkNotReady, match="front desk"):
            with_vapi(double, lambda link: link.place(request(address)))
        assert double.requests == []


def test_masking() -> None:
    assert masked("To +1 (202) 555-0143\nis   no number, code 21211") == "To <number> is no number, code 21211"
