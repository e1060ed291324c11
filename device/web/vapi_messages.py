"""What Vapi sends to its server: owns the types of messages and how a raw body becomes one of them, parsed once.

A field that nobody reads is not even looked at; a type that nobody knows is an `UnknownMessage`, never a failure.

BadMessage    code "body-invalid"      no JSON, or not of the shape of a message
              code "call-id-invalid"   the id of the call cannot be one
              code "tool-calls-empty"  no tool call in it that could be answered
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from device.web.vapi_tools import ToolCall, tool_calls

FINAL_TRANSCRIPT = 'transcript[transcriptType="final"]'
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LONGEST_DETAIL = 200


class BadMessage(ValueError):
    """The request is authentic and cannot be understood: answered 400."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all: what every message has."""

    kind: str
    """The type in Vapi's words."""
    call: str
    """The id of the call (of the chat or session, where there is no call); "" if it has none."""
    control_url: str = ""
    """A credential: kept in memory, never logged."""
    at_ms: int | None = None
    """When Vapi sent it, by Vapi's clock."""

    @property
    def detail(self) -> str:
        """What is kept of it in the record: no text of people, no number, no address."""
        return ""


class ToolCalls(Message, frozen=True, kw_only=True):
    calls: tuple[ToolCall, ...]

    @property
    def detail(self) -> str:
        return ", ".join(f"{call.name} {call.id}" for call in self.calls)[:_LONGEST_DETAIL]


class LegacyFunctionCall(Message, frozen=True, kw_only=True):
    """`function-call`, before there were tool calls."""

    function: ToolCall

    @property
    def detail(self) -> str:
        return self.function.name[:_LONGEST_DETAIL]


class AssistantRequest(Message, frozen=True, kw_only=True):
    """A call without an assistant: which one?"""


class TransferDestinationRequest(Message, frozen=True, kw_only=True):
    """Where to?"""


class HandoffDestinationRequest(Message, frozen=True, kw_only=True):
    """Which assistant takes over?"""


class KnowledgeBaseRequest(Message, frozen=True, kw_only=True):
    """Which documents help?"""


class VoiceRequest(Message, frozen=True, kw_only=True):
    """Speech for a text, as raw PCM."""


class EndpointingRequest(Message, frozen=True, kw_only=True):
    """How long to wait until the user has finished."""


class CampaignPredial(Message, frozen=True, kw_only=True):
    """May this contact be dialled?"""


class Transcript(Message, frozen=True, kw_only=True):
    role: str
    final: bool
    text: str
    confidence: float | None
    """Documented for final ones only; partial ones have none."""
    turn: str

    @property
    def detail(self) -> str:
        return f"{self.role} {'final' if self.final else 'partial'}".strip()


class SpeechUpdate(Message, frozen=True, kw_only=True):
    role: str
    status: str
    turn: str

    @property
    def detail(self) -> str:
        return f"{self.role} {self.status}".strip()


class UserInterrupted(Message, frozen=True, kw_only=True):
    turn: str


class StatusUpdate(Message, frozen=True, kw_only=True):
    status: str
    reason: str

    @property
    def detail(self) -> str:
        return f"{self.status} {self.reason}".strip()


class EndOfCallReport(Message, frozen=True, kw_only=True):
    reason: str
    summary: str

    @property
    def detail(self) -> str:
        return self.reason


class CallDeleted(Message, frozen=True, kw_only=True):
    """There is no such call any more."""


class Notice(Message, frozen=True, kw_only=True):
    """A type that is known, recorded and changes nothing: its short facts are in `said`."""

    said: str = ""

    @property
    def detail(self) -> str:
        return self.said


class UnknownMessage(Message, frozen=True, kw_only=True):
    """A type of the future."""


NOTICES = frozenset(
    """conversation-update hang model-output phone-call-control transfer-update language-change-detected voice-input
    assistant.started assistant.speechStarted chat.created chat.deleted session.created session.updated session.deleted
    call.delete.failed call.artifact.upload workflow.node.started""".split()  # noqa: SIM905
)
_ASKING: dict[str, type[Message]] = {
    "assistant-request": AssistantRequest,
    "transfer-destination-request": TransferDestinationRequest,
    "handoff-destination-request": HandoffDestinationRequest,
    "knowledge-base-request": KnowledgeBaseRequest,
    "voice-request": VoiceRequest,
    "call.endpointing.request": EndpointingRequest,
    "campaign.predial": CampaignPredial,
    "campaign.pre-dial": CampaignPredial,
    "call.deleted": CallDeleted,
}


class _Monitor(msgspec.Struct):
    controlUrl: str | None = None


class _Held(msgspec.Struct):
    """A call, a chat or a session."""

    id: str | None = None
    monitor: _Monitor | None = None


class _Analysis(msgspec.Struct):
    summary: str | None = None


class _Kind(msgspec.Struct):
    type: str | None = None


class _Raw(msgspec.Struct):
    """Every field that is read of any message; msgspec skips the others, long artifacts among them, unread."""

    type: str
    timestamp: int | float | str | None = None
    call: _Held | None = None
    callId: str | None = None
    chat: _Held | None = None
    session: _Held | None = None
    toolCalls: Any = None
    toolCallList: Any = None
    toolWithToolCallList: Any = None
    functionCall: Any = None
    transcript: Any = None
    transcriptType: str | None = None
    role: str | None = None
    confidence: float | None = None
    turnId: str | None = None
    turn: int | float | str | None = None
    status: str | None = None
    endedReason: str | None = None
    summary: str | None = None
    analysis: _Analysis | None = None
    request: str | None = None
    language: str | None = None
    destination: _Kind | None = None


class _Envelope(msgspec.Struct):
    message: _Raw


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_BARE = msgspec.json.Decoder(_Raw)


def parse(body: bytes) -> Message:
    """The message of a raw body, in Vapi's envelope or without it, as older samples have it.

    Raises:
        BadMessage: it is none.
    """
    try:
        raw = _ENVELOPE.decode(body).message
    except (msgspec.MsgspecError, RecursionError, ValueError):
        try:
            raw = _BARE.decode(body)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            raise BadMessage("body-invalid") from None
    held = next((one for one in (raw.call, raw.chat, raw.session) if one is not None and one.id), None)
    call = (held.id if held is not None else raw.callId) or ""
    if call and not _ID.fullmatch(call):
        raise BadMessage("call-id-invalid")
    monitor = raw.call.monitor if raw.call is not None else None
    common = {
        "kind": raw.type,
        "call": call,
        "control_url": (monitor.controlUrl if monitor is not None else None) or "",
        "at_ms": int(raw.timestamp) if isinstance(raw.timestamp, int | float) and abs(raw.timestamp) < 1e15 else None,
    }
    return _typed(raw, common, body)


def _typed(raw: _Raw, common: dict[str, Any], body: bytes) -> Message:
    kind = raw.type
    if kind == "tool-calls":
        calls = tool_calls(raw.toolCallList, raw.toolCalls, raw.toolWithToolCallList)
        if not calls:
            raise BadMessage("tool-calls-empty")
        return ToolCalls(**common, calls=calls)
    if kind == "function-call":
        # It has no id of its own. The same body is the same call, so that a retry runs nothing again.
        own = f"fc-{hashlib.sha256(body).hexdigest()[:32]}"
        calls = tool_calls([{"id": own, **raw.functionCall}] if isinstance(raw.functionCall, dict) else None)
        if not calls:
            raise BadMessage("tool-calls-empty")
        return LegacyFunctionCall(**common, function=calls[0])
    if kind in _ASKING:
        return _ASKING[kind](**common)
    if kind in ("transcript", FINAL_TRANSCRIPT):
        return _transcript(raw, common)
    if kind == "speech-update":
        return SpeechUpdate(**common, role=_word(raw.role), status=_word(raw.status), turn=_turn(raw))
    if kind == "user-interrupted":
        return UserInterrupted(**common, turn=_turn(raw))
    if kind == "status-update":
        return StatusUpdate(**common, status=_word(raw.status), reason=_word(raw.endedReason))
    if kind == "end-of-call-report":
        summary = (raw.analysis.summary if raw.analysis is not None else None) or raw.summary or ""
        return EndOfCallReport(**common, reason=_word(raw.endedReason), summary=summary)
    if kind in NOTICES:
        where = raw.destination.type if raw.destination is not None else None
        return Notice(**common, said=" ".join(filter(None, map(_word, (raw.request, raw.language, where)))))
    return UnknownMessage(**(common | {"kind": _word(kind) or "?"}))


def _transcript(raw: _Raw, common: dict[str, Any]) -> Transcript:
    # Older samples nest text and confidence.
    said = raw.transcript if isinstance(raw.transcript, dict) else {"text": raw.transcript}
    text = said.get("text", said.get("transcript"))
    sure = said.get("confidence") if raw.confidence is None else raw.confidence
    kind = raw.transcriptType or said.get("type") or ("final" if raw.type == FINAL_TRANSCRIPT else "partial")
    return Transcript(
        **(common | {"kind": "transcript"}),
        role=_word(raw.role) or "user",
        final=kind == "final",
        text=text if isinstance(text, str) else "",
        confidence=float(sure) if isinstance(sure, int | float) and not isinstance(sure, bool) else None,
        turn=_turn(raw),
    )


def _turn(raw: _Raw) -> str:
    return raw.turnId or ("" if raw.turn is None else str(raw.turn))


def _word(text: str | None) -> str:
    """A word of the provider's for the record: short, printable, without spaces."""
    if not text:
        return ""
    return "".join(c if c.isprintable() and not c.isspace() else "_" for c in text[:_LONGEST_DETAIL])
