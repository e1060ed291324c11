"""What we send to the providers and what we take for theirs, judged by others: definitions, SDK types, validators."""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pytest
from twilio.request_validator import RequestValidator

from device import webhook_sign
from device.calls.assistant import destination
from device.settings import TwilioSection
from device.web import twiml
from tests import judges, sdk_judge
from tests.assistant_variants import VARIANTS, built

pytestmark = pytest.mark.calls
whole = pytest.mark.skipif(not judges.have_specs(), reason=judges.MISSING)

Sent = tuple[str, str, Any]
"""The definition's name, the SDK's name, the value."""


def tool_result(**changed: Any) -> dict[str, Any]:
    return {"results": [{"name": "getTime", "toolCallId": "call_9", "result": "It's 3 PM.", **changed}]}


@cache
def sent() -> list[Sent]:
    """Everything we send to Vapi beside calls (those: test_calls_judged.py)."""
    out: list[Sent] = [("CreateAssistantDTO", "CreateAssistantDto", built(wanted)) for wanted in VARIANTS]
    out += [("UpdateAssistantDTO", "CreateAssistantDto", {"voice": built({})["voice"]})]
    request, transfer = "ServerMessageResponseAssistantRequest", "ServerMessageResponseTransferDestinationRequest"
    out += [
        (request, request, {"assistant": built({})}),
        (request, request, {"assistantId": "as-1"}),
        (request, request, {"error": "Sorry, nobody can take your call."}),
    ]
    for address in ("+12025550143", "sip:desk@example.org"):
        out += [(name, name, {"destination": destination(address)}) for name in (request, transfer)]
    return out


WRONG: list[Sent] = [
    ("CreateAssistantDTO", "CreateAssistantDto", built({}) | {"functions": []}),
    ("CreateAssistantDTO", "CreateAssistantDto", built({}) | {"model": built({})["model"] | {"functions": []}}),
    ("CreateAssistantDTO", "CreateAssistantDto", built({}) | {"maxDurationSeconds": "long"}),
    ("ServerMessageResponseToolCalls", "ServerMessageResponseToolCalls", tool_result(result={"time": "15:00"})),
    ("ServerMessageResponseToolCalls", "ServerMessageResponseToolCalls", tool_result(text="It's 3 PM.")),
    ("ClientInboundMessage", "ClientInboundMessage", {"message": {"type": "sing", "content": "la"}}),
    ("ClientInboundMessage", "ClientInboundMessage", {"message": {"type": "say", "text": "la"}}),
]


@whole
def test_what_we_send_by_the_definitions() -> None:
    known = judges.vapi_whole()
    assert [(name, judges.judge(known, name, value)) for name, _, value in sent()] == [
        (name, []) for name, _, _ in sent()
    ]
    for name, _, value in WRONG:
        assert judges.judge(known, name, value), f"the judge has no teeth for {name}"


def test_what_we_send_by_the_sdk() -> None:
    try:
        faults = sdk_judge.judged([(name, value) for _, name, value in [*sent(), *WRONG]])
    except sdk_judge.SdkMissing as missing:
        pytest.skip(str(missing))
    right, wrong = faults[: len(sent())], faults[len(sent()) :]
    assert right == [[]] * len(sent())
    assert all(wrong), wrong


# -- Twilio ---------------------------------------------------------------------------------------------------------
def test_our_twiml_by_an_xml_parser() -> None:
    to_number = TwilioSection(inbound_to="+12025550143")
    to_sip = TwilioSection(inbound_to="sip:desk@sip.example.org")
    shapes = {
        twiml.say("Tom & Jerry <say> \x00 goodbye"): ["Say", "Hangup"],
        twiml.hang_up(): ["Hangup"],
        twiml.number(to_number, "+12025550100", "/after?a=1&b=2"): ["Dial"],
        twiml.sip(to_sip, "CA1", "/after"): ["Dial"],
        twiml.stream("wss://edge.example.org/media", {"ticket": '"<&>"'}): ["Connect"],
        twiml.assistant_stream(TwilioSection(), "as-1"): ["Connect"],
    }
    for text, verbs in shapes.items():
        root = ElementTree.fromstring(text)
        assert (root.tag, [verb.tag for verb in root]) == ("Response", verbs)
    assert ElementTree.fromstring(twiml.say("a < b"))[0].text == "a < b"


def test_our_twilio_signatures_by_their_validator() -> None:
    validator = RequestValidator("12345")
    form = {"CallSid": "CA1", "From": "+12025550143", "Called": "", "ä": "ö & ü"}
    for url in ("https://edge.example.org/webhook/twilio/voice", "https://edge.example.org:8443/a?b=c"):
        (signature,) = webhook_sign.sign_twilio(url, form, "12345").values()
        assert validator.validate(url, form, signature)
        assert not validator.validate(url, form | {"From": "+1"}, signature)
    body = json.dumps({"a": "ü"}).encode()
    url = webhook_sign.twilio_json_url("https://edge.example.org/x", body)
    (signature,) = webhook_sign.sign_twilio(url, {}, "12345").values()
    assert validator.validate(url, body.decode(), signature)
