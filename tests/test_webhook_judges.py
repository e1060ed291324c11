"""What we send to the providers and what we take for theirs, judged by others: definitions, SDK types, validators."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pytest
from twilio.request_validator import RequestValidator

from device import webhook_sign
from device.calls.assistant import destination
from device.settings import HmacSection, TwilioSection
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


# -- what we take for theirs ----------------------------------------------------------------------------------------
_OTHER_SHAPES = ("tool-calls text", "tool-calls two", "tool-calls flat", "tool-calls with tool", "tool-calls wrong")
"""Seen on the wire or in older documents, and in no definition."""
_SHORTENED = ("parameters", "messagesOpenAIFormatted", "text", "sampleRate", "chat", "session", "artifacts")
"""Left out of the samples of messages from which nothing is read."""


def completed(message: dict[str, Any]) -> dict[str, Any]:
    """A sample with what the definition wants and nobody here reads, and its arguments as text."""
    stamp = "2026-11-24T09:00:00.000Z"
    whole = message | {"call": {"orgId": "o", "createdAt": stamp, "updatedAt": stamp, **message["call"]}}
    if message["type"] == "tool-calls":
        whole.setdefault("toolWithToolCallList", [])
        for call in whole["toolCallList"]:
            if not isinstance(call["function"]["arguments"], str):
                call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    if message["type"] == "model-output" and isinstance(message["output"], str):
        whole["output"] = {"content": message["output"]}
    return whole


def samples() -> list[tuple[str, dict[str, Any]]]:
    shots = pytest.importorskip("device.webhook_samples")
    sign = shots.Signer(datetime.now(UTC), "s", "t", "hmac", HmacSection(), "https://edge.example.org", 300, 2_000_000)
    found = [shot for shot in shots.vapi_shots(sign) if shot.name not in _OTHER_SHAPES]
    assert len(found) > 25
    return [(shot.name, completed(json.loads(shot.body)["message"])) for shot in found]


def schema_names(known: judges.Schemas) -> dict[str, str]:
    """The definition of each message by its type."""
    return {
        kind: name
        for name, schema in known.items()
        if name.startswith("ServerMessage") and "Response" not in name
        for kind in schema.get("properties", {}).get("type", {}).get("enum", ())
    }


@whole
def test_our_samples_of_their_messages() -> None:
    known = judges.vapi_whole()
    names = schema_names(known)
    pairs = [(names[message["type"]], message) for _, message in samples() if message["type"] in names]
    assert {name for name, _ in pairs} == set(names.values()) - {"ServerMessageCampaignPredial"}
    for name, message in pairs:
        assert unexpected(judges.judge(known, name, message)) == [], message["type"]
    try:
        judged = sdk_judge.judged(pairs)
    except sdk_judge.SdkMissing as missing:
        pytest.skip(str(missing))
    assert [unexpected(faults) for faults in judged] == [[]] * len(pairs)


def unexpected(faults: list[str]) -> list[str]:
    absent = [f"[] '{field}' is a required property" for field in _SHORTENED]
    return [fault for fault in faults if fault not in {*absent, *(f"{field}: Field required" for field in _SHORTENED)}]


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
