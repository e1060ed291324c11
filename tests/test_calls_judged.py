"""What we send and what the doubles answer, judged by the vendors' definitions: fixtures, and whole if there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device.calls import twilio, vapi
from device.calls.link import CallRequest, Destination
from tests import judges
from tests.doubles import twilio as fake_twilio
from tests.doubles import vapi as fake_vapi
from tests.doubles.loopback import Scenario
from tests.fixtures import make_vendor_schemas as fixtures

whole = pytest.mark.skipif(not judges.have_specs(), reason=judges.MISSING)

VAPI = [pytest.param(judges.vapi_fixture, id="fixture"), pytest.param(judges.vapi_whole, id="whole", marks=whole)]
REQUEST = CallRequest(
    "0123456789abcdef" * 2, Destination("front desk", "any", fake_twilio.TO), "A guest asks.", "So far."
)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def vapi_link(url: str = "http://127.0.0.1:9") -> vapi.VapiLink:
    return vapi.VapiLink(fake_vapi.KEY, fake_vapi.ASSISTANT, fake_vapi.NUMBER, base_url=url)


def sip_request() -> CallRequest:
    return CallRequest("a", Destination("porch", "vapi", "sip:porch@example.org"), "", "")


@pytest.mark.parametrize("schemas", VAPI)
def test_the_vapi_payload(schemas: Callable[[], judges.Schemas]) -> None:
    known = schemas()
    for request in (REQUEST, sip_request()):
        payload = vapi_link().payload(request)
        assert judges.judge(known, "CreateCallDTO", payload) == []
        assert len(payload["name"]) <= 40


def test_the_vapi_judge_finds_what_the_real_interface_refuses() -> None:
    known = judges.vapi_fixture()
    good = vapi_link().payload(REQUEST)
    for bad in (
        {**good, "metadata": {"op_id": "1"}},
        {**good, "name": "n" * 41},
        {**good, "customer": {"number": "1"}},
        {**good, "customer": {"phone": "+12025550143"}},
        {**good, "assistantOverrides": {"maxDurationSeconds": 5}},
    ):
        assert judges.judge(known, "CreateCallDTO", bad) != [], bad


@pytest.mark.calls
@pytest.mark.parametrize("scenario", [Scenario.ANSWER, Scenario.BUSY, Scenario.NO_ANSWER])
@pytest.mark.parametrize("schemas", VAPI)
def test_the_answers_of_the_vapi_double(schemas: Callable[[], judges.Schemas], scenario: Scenario) -> None:
    seen: list[Any] = []

    async def play(double: fake_vapi.FakeVapi) -> None:
        link = vapi_link(double.url)
        call = await link.place(REQUEST)
        while not seen or seen[-1]["status"] != "ended":
            await link.status(call)
            seen.append(json.loads(json.dumps(double.calls[0])))
        await link.aclose()

    with fake_vapi.FakeVapi(scenario) as double:
        asyncio.run(play(double))
        known = schemas()
        assert [fault for call in seen for fault in judges.judge(known, "Call", call)] == []
        assert [fault for body in double.creations for fault in judges.judge(known, "CreateCallDTO", body)] == []


@pytest.mark.calls
def test_twilio_requests_and_answers() -> None:
    known = judges.twilio_fixture()

    async def play(double: fake_twilio.FakeTwilio) -> None:
        link = twilio.TwilioLink(fake_twilio.ACCOUNT, fake_twilio.TOKEN, fake_twilio.FROM, base_url=double.url)
        call = await link.place(REQUEST)
        assert judges.judge(known, "api.v2010.account.call", double.calls[0]) == []
        await link.find(REQUEST)
        await link.hang_up(call)
        assert judges.judge(known, "api.v2010.account.call", double.calls[0]) == []

    with fake_twilio.FakeTwilio() as double:
        asyncio.run(play(double))
        (form,) = double.creations
        assert judges.judge_form(known, "CreateCallRequest", form) == []
        assert {"To", "From", "Twiml", "Timeout", "TimeLimit"} == set(form)
        (update,) = double.updates
        assert judges.judge_form(known, "UpdateCallRequest", update) == []
        queries = [each.query for each in double.requests if each.method == "GET" and each.query]
        assert [fault for query in queries for fault in judges.judge_form(known, "ListCallQuery", query)] == []
        assert len(queries) == 1


def test_the_twilio_judge_finds_faults() -> None:
    known = judges.twilio_fixture()
    good = {"To": fake_twilio.TO, "From": fake_twilio.FROM, "Twiml": "<Response/>", "Timeout": "40"}
    assert judges.judge_form(known, "CreateCallRequest", good) == []
    for bad in ({"From": "+1"}, {**good, "Timeout": "soon"}, {**good, "Twimll": "<Response/>"}):
        assert judges.judge_form(known, "CreateCallRequest", bad) != [], bad


@whole
def test_the_fixtures_are_what_the_definitions_give() -> None:
    for path, made in (
        (fixtures.VAPI_FIXTURE, fixtures.vapi_schemas(judges.SPECS)),
        (fixtures.TWILIO_FIXTURE, fixtures.twilio_schemas(judges.SPECS)),
    ):
        assert Path(path).read_text() == fixtures.rendered(made)
        assert Path(path).stat().st_size < 100_000
