"""What we send to the providers and what we take for theirs, judged by others: definitions, SDK types, validators."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pytest
from twilio.request_validator import RequestValidator

from device import webhook_sign
from device.calls.assistant import destination
from device.functions.contract import BadArguments, FunctionResult, Problem, StillWorking
from device.settings import HmacSection, TwilioSection
from device.web import late, twiml, vapi_answers
from device.web.vapi_tools import ToolCall
from device.webhook_samples import Signer, vapi_shots
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
    return out + answers() + control_messages()


def answers() -> list[Sent]:
    """What the endpoint answers, from its own hand."""
    named = {
        "ToolCalls": [
            vapi_answers.tool_results(
                [ToolCall("call_9", "checkAvailability", {})], [result], lambda id: {"poll": f"/r/{id}"}
            )
            for result in (
                FunctionResult("a", {"available": True, "nextSlots": ["19:00\u2028"]}, sentence="Free."),
                FunctionResult("a", {"sentence": "It's\n3 PM."}, sentence="It's\n3 PM."),
                FunctionResult("a", error=StillWorking("a"), sentence="I'm on it."),
                FunctionResult("a", error=BadArguments((Problem("date", "a date", "x"),)), sentence="Which day?"),
                vapi_answers.unreadable("a"),
            )
        ],
        "TransferDestinationRequest": [vapi_answers.transfer(""), vapi_answers.transfer("+12025550143")],
        "AssistantRequest": [
            vapi_answers.assistant("as-1", None),
            vapi_answers.assistant("", built({})),
            vapi_answers.assistant("", None),
        ],
        "HandoffDestinationRequest": [vapi_answers.HANDOFF],
        "KnowledgeBaseRequest": [vapi_answers.KNOWLEDGE],
        "CallEndpointingRequest": [vapi_answers.ENDPOINTING],
        "CampaignPredial": [vapi_answers.PREDIAL],
    }
    full = {f"ServerMessageResponse{name}": values for name, values in named.items()}
    return [(name, name, dict(value)) for name, values in full.items() for value in values]


def control_messages() -> list[Sent]:
    """What is posted to the control URL of a call."""
    posted = (
        late.say("Okay.", over=True),
        late.say("It is done."),
        late.tell("bookAppointment", "You're booked.", {"id": 7}),
        late.tell("bookAppointment", "", None),
        {"type": "end-call"},
    )
    return [("ClientInboundMessage", "ClientInboundMessage", {"message": message}) for message in posted]


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


def test_by_the_sdk() -> None:
    """Everything in one go: loading the types takes the SDK seconds."""
    theirs = [(f"ServerMessage{name}", message) for name, message in messages()]
    ours = [(name, value) for _, name, value in sent()]
    try:
        faults = sdk_judge.judged([*ours, *theirs, *((name, value) for _, name, value in WRONG)])
    except sdk_judge.SdkMissing as missing:
        pytest.skip(str(missing))
    right, seen, wrong = faults[: len(ours)], faults[len(ours) : -len(WRONG)], faults[-len(WRONG) :]
    assert right == [[]] * len(ours)
    assert seen == [[]] * len(theirs)
    assert all(wrong), wrong


# -- what we take for theirs ----------------------------------------------------------------------------------------
_OTHER_SHAPES = ("tool-calls text", "tool-calls two", "tool-calls flat", "tool-calls with tool", "tool-calls wrong")
"""Seen on the wire or in older documents, and in no definition."""


def completed(message: dict[str, Any]) -> dict[str, Any]:
    """Of the simplest tool calls, what the definition wants and the wire has otherwise."""
    whole = dict(message)
    if message["type"] == "tool-calls":
        whole.setdefault("toolWithToolCallList", [])
        for call in whole["toolCallList"]:
            if not isinstance(call["function"]["arguments"], str):
                call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    return whole


def messages() -> list[tuple[str, dict[str, Any]]]:
    """Our samples of their messages, each with the name of its definition without "ServerMessage"."""
    sign = Signer(datetime.now(UTC), "s", "t", "hmac", HmacSection(), "https://edge.example.org", 300, 2_000_000)
    shots = [shot for shot in vapi_shots(sign) if shot.name not in _OTHER_SHAPES]
    each = [completed(json.loads(shot.body)["message"]) for shot in shots]
    return [(definition(message["type"]), message) for message in each if definition(message["type"])]


def definition(kind: str) -> str:
    """`status-update` is StatusUpdate; empty for what no definition has: older types, future ones."""
    if kind in ("function-call", "assistant.started") or kind.startswith("future-"):
        return ""
    words = re.split(r"[-.]", kind.partition("[")[0])
    return {"assistant.speechStarted": "AssistantSpeech"}.get(kind, "".join(map(str.capitalize, words)))


@whole
def test_our_samples_of_their_messages() -> None:
    known = judges.vapi_whole()
    names = {name.removeprefix("ServerMessage") for name in known if name.startswith("ServerMessage")}
    defined = {name for name in names if name and not name.startswith("Response")}
    found = messages()
    assert {name for name, _ in found} >= defined
    for name, message in found:
        assert judges.judge(known, f"ServerMessage{name}", message) == [], message["type"]


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
