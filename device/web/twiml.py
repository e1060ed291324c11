"""TwiML by the official builder: what a caller gets. Pure: settings in, XML out.

InboundNotReady    code "inbound-not-ready"    the configured way cannot be taken; the message says what to set
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from device.settings import TwilioSection

ASSISTANT_STREAM = "wss://api.vapi.ai/ws"
"""For "assistant-stream" without an address. Vapi documents no such thing; bridges that imitate it do."""
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_SIP = re.compile(r"sips?:[^\s<>?]+@[^\s<>?]+(\?\S*)?")
_LONGEST_SIP = 255
_LONGEST_TEXT = 3000
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class InboundNotReady(Exception):
    """The call cannot be handed on as configured."""

    code = "inbound-not-ready"


def say(text: str) -> str:
    """A sentence, and the call ends."""
    response = _response()
    response.say(_NOT_XML.sub(" ", text)[:_LONGEST_TEXT])
    response.hangup()
    return str(response)


def hang_up() -> str:
    """The call ends."""
    response = _response()
    response.hangup()
    return str(response)


def number(settings: TwilioSection, called: str, action: str) -> str:
    """Rings a telephone; the caller is picked up when somebody there is. `action` is asked afterwards."""
    to = settings.inbound_to.strip()
    if not _E164.fullmatch(to):
        raise InboundNotReady("set twilio.inbound_to to a number in the form +12025550143")
    if to in (settings.number, called):
        raise InboundNotReady("twilio.inbound_to is the number that was called: the call would go round in circles")
    response = _response()
    response.dial(answer_on_bridge=True, action=action).number(to)
    return str(response)


def sip(settings: TwilioSection, call: str, action: str) -> str:
    """Rings a SIP address. The x-headers become variables at Vapi, their names in lower case."""
    to = settings.inbound_to.strip()
    if not _SIP.fullmatch(to):
        raise InboundNotReady("set twilio.inbound_to to an address in the form sip:name@host")
    tagged = f"{to}{'&' if '?' in to else '?'}x-device=wakeline&x-call_sid={quote(call)}"
    response = _response()
    response.dial(answer_on_bridge=True, action=action).sip(tagged if len(tagged) < _LONGEST_SIP else to)
    return str(response)


def stream(url: str, parameters: Mapping[str, str]) -> str:
    """Both directions of the call's audio go to a WebSocket. The call ends when that does."""
    parts = urlsplit(url)
    if parts.scheme != "wss" or not parts.hostname or parts.query or parts.fragment:
        raise InboundNotReady("a media stream needs an address in the form wss://host/path, without a query")
    response = _response()
    target = response.connect().stream(url=url)
    for name, value in parameters.items():
        target.parameter(name=name, value=value)
    return str(response)


def assistant_stream(settings: TwilioSection, assistant: str) -> str:
    """A stream that is told which assistant is meant."""
    if not assistant:
        raise InboundNotReady("set VAPI_ASSISTANT_ID: the stream is told the assistant")
    return stream(settings.inbound_to.strip() or ASSISTANT_STREAM, {"assistantId": assistant})


def is_twiml(text: object) -> bool:
    """Whether a vendor's answer can be handed on: XML without declarations of its own, with the right root."""
    from xml.etree import ElementTree

    if not isinstance(text, str) or "<!" in text:
        return False
    try:
        return ElementTree.fromstring(text.strip().encode()).tag == "Response"
    except (ElementTree.ParseError, ValueError):
        return False


def _response() -> Any:
    from twilio.twiml.voice_response import VoiceResponse

    return VoiceResponse()
