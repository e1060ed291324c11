"""Owns the samples of `wakeline webhook test`: every message type of Vapi, every form of Twilio, all authentic."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Literal
from urllib.parse import urlencode

from device.settings import HmacSection, Scheme
from device.webhook_sign import sign_twilio, sign_vapi

Provider = Literal["vapi", "twilio"]
VAPI = "/webhook/vapi"
_FORM = {"content-type": "application/x-www-form-urlencoded"}
_JSON = {"content-type": "application/json"}


class Check(Enum):
    """What is looked at in an answer beside its status."""

    STATUS = "status"
    RESULTS = "one result for each tool call, in order, as a line of text"
    RESULT = "a result of the old form"
    ASSISTANT = "an assistant, a destination or an error to say"
    DESTINATION = "a destination, or an error to say"
    TWIML = "TwiML"
    SAME = "the same answer as the first time"


@dataclass(frozen=True, slots=True)
class Shot:
    """One request, and what a server that is right answers."""

    provider: Provider
    name: str
    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...]
    expected: tuple[int, ...]
    proves: str
    check: Check = Check.STATUS
    method: str = "POST"
    slow: bool = False
    """The body never ends: the server has to."""
    again: str = ""
    """For SAME: the name of the shot whose answer it must be."""


@dataclass(frozen=True, slots=True)
class Signer:
    """How this run signs; everything that a sample needs to be authentic."""

    now: datetime
    vapi_secret: str = field(repr=False)
    twilio_token: str = field(repr=False)
    scheme: Scheme
    settings: HmacSection
    base_url: str
    """As the server knows itself: Twilio signs the whole address."""
    window_s: int
    body_limit: int
    run: str = field(default_factory=lambda: secrets.token_hex(5))
    """In every id: a run is a talk of its own, not a replay of an earlier one."""

    def vapi(self, body: bytes, *, secret: str = "", ago: timedelta = timedelta()) -> dict[str, str]:
        headers = sign_vapi(
            body,
            secret or self.vapi_secret,
            self.scheme,
            self.settings,
            self.now - ago,
            url=self.base_url + VAPI,
            message_id=self.run,
        )
        return _JSON | headers

    def twilio(self, path: str, params: Mapping[str, str], *, token: str = "", url: str = "") -> dict[str, str]:
        return _FORM | sign_twilio(url or self.base_url + path, params, token or self.twilio_token)


def vapi_shots(sign: Signer, only: str = "", *, effects: bool = False) -> list[Shot]:
    """Every message type, or one; function calls read unless `effects`."""
    return [
        _vapi(sign, name, message, proves, check)
        for name, message, proves, check in (*_tool_calls(sign, effects), *_asked(sign), *_told(sign))
        if only in ("", name, message["type"])
    ]


def vapi_body(sign: Signer, message: Mapping[str, Any], *, call: str = "") -> bytes:
    """The envelope as Vapi sends it."""
    whole = {
        "timestamp": round(sign.now.timestamp() * 1000),
        "call": {"type": "inboundPhoneCall", "status": "in-progress", **_thing(sign, call)},
        **message,
    }
    return json.dumps({"message": whole}, separators=(",", ":")).encode()


def tool_call(sign: Signer, id: str = "call_1", *, effects: bool = False) -> dict[str, Any]:
    """One entry of `toolCallList`: a read, or a booking for the day after tomorrow."""
    day = (sign.now + timedelta(days=2)).date().isoformat()
    arguments: dict[str, object] = {"date": day, "time": "19:00"}
    if effects:
        arguments |= {"people": 2, "name": "Webhook Test"}
    name = "scheduleAppointment" if effects else "checkAvailability"
    return {"id": f"{id}_{sign.run}", "type": "function", "function": {"name": name, "arguments": arguments}}


def _thing(sign: Signer, id: str = "") -> dict[str, str]:
    """What a call, a chat and a session have in common."""
    at = sign.now.isoformat()
    return {"id": id or f"test-{sign.run}", "orgId": "org-test", "createdAt": at, "updatedAt": at}


Row = tuple[str, dict[str, Any], str, Check]


def _tool_calls(sign: Signer, effects: bool) -> list[Row]:
    one = tool_call(sign, effects=effects)
    text = tool_call(sign, "call_2")
    text["function"] = text["function"] | {"arguments": json.dumps(text["function"]["arguments"])}
    first, second = tool_call(sign, "call_3"), tool_call(sign, "call_4")
    flat = {"id": f"call_5_{sign.run}", "name": "checkAvailability", "parameters": first["function"]["arguments"]}
    bare, whole = tool_call(sign, "call_6"), tool_call(sign, "call_9")
    wrapped = [{"type": "function", "function": {"name": "checkAvailability"}, "toolCall": bare}]
    unknown = {"id": f"call_7_{sign.run}", "type": "function", "function": {"name": "noSuchThing", "arguments": {}}}
    broken = {"id": f"call_8_{sign.run}", "name": "checkAvailability", "arguments": {"date": "whenever"}}
    legacy = {"name": first["function"]["name"], "parameters": first["function"]["arguments"]}
    kind = "tool-calls"
    return [
        ("tool-calls", {"type": kind, "toolCallList": [one]}, "a function runs and answers", Check.RESULTS),
        ("tool-calls whole", {"type": kind, **_documented(sign, whole)}, "as it is documented", Check.RESULTS),
        ("tool-calls text", {"type": kind, "toolCallList": [text]}, "arguments as JSON text", Check.RESULTS),
        ("tool-calls two", {"type": kind, "toolCalls": [first, second]}, "two calls, in order", Check.RESULTS),
        ("tool-calls flat", {"type": kind, "toolCallList": [flat]}, "name and parameters side by side", Check.RESULTS),
        ("tool-calls with tool", {"type": kind, "toolWithToolCallList": wrapped}, "the third container", Check.RESULTS),
        ("tool-calls unknown", {"type": kind, "toolCallList": [unknown]}, "an unknown name is told", Check.RESULTS),
        ("tool-calls wrong", {"type": kind, "toolCallList": [broken]}, "wrong arguments are told", Check.RESULTS),
        ("function-call", {"type": "function-call", "functionCall": legacy}, "the old form", Check.RESULT),
    ]


def _documented(sign: Signer, call: dict[str, Any]) -> dict[str, Any]:
    """Both lists, the call beside its tool, arguments as text."""
    function = call["function"] | {"arguments": json.dumps(call["function"]["arguments"])}
    wish = call | {"function": function}
    text = {"type": "string"}
    tool = {
        "type": "function",
        "function": {
            "name": function["name"],
            "description": "Whether an appointment is free.",
            "parameters": {"type": "object", "properties": {"date": text, "time": text}, "required": ["date", "time"]},
        },
        "server": {"url": sign.base_url + VAPI, "timeoutSeconds": 20},
        "messages": [{"type": "request-start", "content": "One moment."}],
        "toolCall": wish,
    }
    return {"toolCallList": [wish], "toolWithToolCallList": [tool]}


def _asked(sign: Signer) -> list[Row]:
    """Whose answer is used."""
    transfer = "transfer-destination-request"
    contact = {
        "id": "contact-1",
        "campaignId": "campaign-1",
        "orgId": "org-test",
        "number": "+12025550143",
        "createdAt": sign.now.isoformat(),
    }
    return [
        ("assistant-request", {"type": "assistant-request"}, "a call without assistant gets one", Check.ASSISTANT),
        (transfer, {"type": transfer}, "a person, or a reason why not", Check.DESTINATION),
        *(
            (kind, {"type": kind, **rest}, "a request we do not serve is taken", Check.STATUS)
            for kind, rest in (
                ("handoff-destination-request", {"parameters": {}}),
                ("knowledge-base-request", {"messagesOpenAIFormatted": []}),
                ("voice-request", {"text": "Hello.", "sampleRate": 24000}),
                ("call.endpointing.request", {"messagesOpenAIFormatted": []}),
                ("campaign.predial", {"campaignId": contact["campaignId"], "contact": contact}),
            )
        ),
    ]


_SAID = "eight p m works"
_NOTICES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("assistant.started", {}),
    ("assistant.speechStarted", {"text": "Hello.", "turn": 0}),
    ("status-update", {"status": "in-progress"}),
    ("speech-update", {"status": "started", "role": "assistant", "turn": 1}),
    ("transcript", {"role": "user", "transcriptType": "partial", "transcript": _SAID}),
    ('transcript[transcriptType="final"]', {"role": "user", "transcriptType": "final", "transcript": _SAID}),
    ("user-interrupted", {"turnId": "turn-1"}),
    ("conversation-update", {"messages": [], "messagesOpenAIFormatted": []}),
    ("model-output", {"output": {"content": "We have"}, "turnId": "turn-2"}),
    ("voice-input", {"input": "We have eight."}),
    ("language-change-detected", {"language": "en"}),
    ("phone-call-control", {"request": "hang-up"}),
    ("transfer-update", {"destination": {"type": "number", "number": "+12025550143"}}),
    ("hang", {}),
    ("call.artifact.upload", {"artifacts": []}),
    ("call.deleted", {}),
    ("call.delete.failed", {}),
)
_OF_OTHERS = ("chat.created", "chat.deleted", "session.created", "session.updated", "session.deleted")
"""About a chat or a session of Vapi's, which they carry."""


def _told(sign: Signer) -> list[Row]:
    """Notices: taken, whatever they are; the report comes last and closes the session."""
    rows: list[Row] = [(kind, {"type": kind, **rest}, "a notice is taken", Check.STATUS) for kind, rest in _NOTICES]
    for kind in _OF_OTHERS:
        rows.append((kind, {"type": kind, kind.partition(".")[0]: _thing(sign)}, "a notice is taken", Check.STATUS))
    rows.append(("of the future", {"type": f"future-{sign.run}"}, "an unknown type is taken", Check.STATUS))
    report = {
        "type": "end-of-call-report",
        "endedReason": "customer-ended-call",
        "artifact": {"messages": [], "transcript": ""},
        "analysis": {"summary": "A test."},
        "startedAt": (sign.now - timedelta(seconds=30)).isoformat(),
        "endedAt": sign.now.isoformat(),
        "cost": 0,
    }
    rows.append(("end-of-call-report", report, "the session is closed", Check.STATUS))
    return rows


def _vapi(sign: Signer, name: str, message: Mapping[str, Any], proves: str, check: Check) -> Shot:
    body = vapi_body(sign, message)
    return Shot("vapi", name, VAPI, body, tuple(sign.vapi(body).items()), (200,), proves, check)


def voice_form(sign: Signer) -> dict[str, str]:
    """A call that rings, with a field left blank and one in another script."""
    return {
        "CallSid": f"CA{sign.run.rjust(32, '0')}",
        "AccountSid": "AC" + "0" * 32,
        "From": "+12025550143",
        "To": "+12025550100",
        "CallStatus": "ringing",
        "Direction": "inbound",
        "ApiVersion": "2010-04-01",
        "CallerCity": "",
        "CallerName": "Zoë & Søn + 1",
    }


def twilio_shots(sign: Signer, only: str = "") -> list[Shot]:
    """Every form, or one; status callbacks come in the wrong order, and one comes twice."""
    voice = voice_form(sign)
    rows: list[tuple[str, str, dict[str, str], tuple[int, ...], str, Check]] = [
        ("voice", "voice", voice, (200,), "the caller gets TwiML", Check.TWIML)
    ]
    for number, status in ((2, "in-progress"), (0, "initiated"), (1, "ringing"), (3, "completed"), (2, "in-progress")):
        form = voice | {"CallStatus": status, "SequenceNumber": str(number), "CallbackSource": "call-progress-events"}
        proves = "the order of arrival does not matter" if number < 3 else "the session is closed"
        rows.append((f"status {status}", "status", form, (200, 204), proves, Check.STATUS))
    broken = voice | {"ErrorCode": "11200", "ErrorUrl": sign.base_url}
    rows.append(("fallback", "fallback", broken, (200,), "a sentence instead of silence", Check.TWIML))
    shots = []
    for name, where, form, expected, proves, check in rows:
        path = f"/webhook/twilio/{where}"
        headers = tuple(sign.twilio(path, form).items())
        shots.append(Shot("twilio", name, path, urlencode(form).encode(), headers, expected, proves, check))
    return [shot for shot in shots if only in ("", shot.name, shot.name.split()[0])]
