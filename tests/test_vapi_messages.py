"""Every message of Vapi's becomes a typed value; nothing that anybody sends becomes a traceback."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.web import vapi_messages as vapi
from device.web.vapi_messages import BadMessage, Notice, UnknownMessage, parse
from device.web.vapi_tools import tool_calls
from tests import judges
from tests.vapi_rig import body

CALL = {
    "id": "call_9",
    "type": "function",
    "function": {"name": "set_light", "arguments": {"room": "hall", "on": True}},
}

SAID = vapi.Transcript
TABLE: list[tuple[str, dict[str, Any], type[vapi.Message], str]] = [
    ("tool-calls", {"toolCallList": [CALL], "toolWithToolCallList": []}, vapi.ToolCalls, "set_light call_9"),
    ("function-call", {"functionCall": {"name": "a", "parameters": {"x": 1}}}, vapi.LegacyFunctionCall, "a"),
    ("assistant-request", {}, vapi.AssistantRequest, ""),
    ("transfer-destination-request", {}, vapi.TransferDestinationRequest, ""),
    ("handoff-destination-request", {"parameters": {}}, vapi.HandoffDestinationRequest, ""),
    ("knowledge-base-request", {"messagesOpenAIFormatted": []}, vapi.KnowledgeBaseRequest, ""),
    ("voice-request", {"text": "secret", "sampleRate": 24000}, vapi.VoiceRequest, ""),
    ("call.endpointing.request", {"messagesOpenAIFormatted": []}, vapi.EndpointingRequest, ""),
    ("campaign.predial", {"campaignId": "x", "contact": {}}, vapi.CampaignPredial, ""),
    ("transcript", {"role": "user", "transcriptType": "partial", "transcript": "secret"}, SAID, "user partial"),
    (vapi.FINAL_TRANSCRIPT, {"role": "user", "transcriptType": "final", "transcript": "secret"}, SAID, "user final"),
    ("speech-update", {"role": "assistant", "status": "started", "turn": 2}, vapi.SpeechUpdate, "assistant started"),
    ("user-interrupted", {"turnId": "t1"}, vapi.UserInterrupted, ""),
    ("status-update", {"status": "ended", "endedReason": "voicemail"}, vapi.StatusUpdate, "ended voicemail"),
    (
        "end-of-call-report",
        {"endedReason": "customer-busy", "artifact": {"transcript": "secret"}, "analysis": {"summary": "secret"}},
        vapi.EndOfCallReport,
        "customer-busy",
    ),
    ("call.deleted", {}, vapi.CallDeleted, ""),
    ("conversation-update", {"messagesOpenAIFormatted": [{"role": "user", "content": "secret"}]}, Notice, ""),
    ("hang", {}, Notice, ""),
    ("model-output", {"output": "secret", "turnId": "t"}, Notice, ""),
    ("phone-call-control", {"request": "forward", "destination": {"type": "number"}}, Notice, "forward number"),
    ("transfer-update", {"destination": {"type": "sip", "sipUri": "sip:a@b"}}, Notice, "sip"),
    ("language-change-detected", {"language": "de"}, Notice, "de"),
    ("voice-input", {"input": "secret"}, Notice, ""),
    ("assistant.started", {}, Notice, ""),
    ("assistant.speechStarted", {"text": "secret", "turn": 1, "source": "model"}, Notice, ""),
    ("chat.created", {"chat": {"id": "ch-1"}}, Notice, ""),
    ("chat.deleted", {"chat": {"id": "ch-1"}}, Notice, ""),
    ("session.created", {"session": {"id": "s-1"}}, Notice, ""),
    ("session.updated", {"session": {"id": "s-1"}}, Notice, ""),
    ("session.deleted", {"session": {"id": "s-1"}}, Notice, ""),
    ("call.delete.failed", {}, Notice, ""),
    ("call.artifact.upload", {"artifacts": []}, Notice, ""),
    ("workflow.node.started", {"node": {"name": "secret"}}, Notice, ""),
    ("made-up", {"anything": [1]}, UnknownMessage, ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "expected", "detail"), TABLE, ids=[row[0] for row in TABLE])
def test_each_type(kind: str, fields: dict[str, Any], expected: type, detail: str) -> None:
    message = parse(body(kind, control="https://x.vapi.ai/c/control", **fields))
    assert type(message) is expected
    assert (message.call, message.control_url, message.at_ms) == ("c-1", "https://x.vapi.ai/c/control", 1788247410457)
    assert message.detail == detail
    assert "secret" not in message.detail


@pytest.mark.skipif(not judges.have_specs(), reason=judges.MISSING)
def test_no_type_of_the_definition_is_missing_in_the_table() -> None:
    known = judges.vapi_whole()
    wrapped = known["ServerMessage"]["properties"]["message"]["anyOf"]
    types = {
        kind
        for reference in wrapped
        for kind in known[reference["$ref"].rsplit("/", 1)[1]]["properties"]["type"]["enum"]
    }
    tested = {row[0]: row[2] for row in TABLE}
    assert not types - set(tested)
    assert not [kind for kind in types if tested[kind] is UnknownMessage]


NESTED = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
FLAT = {"id": "a", "name": "f", "arguments": {"x": 1}}
PARAMETERS = {"id": "a", "name": "f", "parameters": {"x": 1}}


@pytest.mark.parametrize("container", ["toolCalls", "toolCallList", "toolWithToolCallList"])
@pytest.mark.parametrize("shape", [NESTED, FLAT, PARAMETERS], ids=["nested", "flat", "parameters"])
@pytest.mark.parametrize("as_text", [False, True])
def test_tool_calls_in_every_shape(container: str, shape: dict[str, Any], as_text: bool) -> None:
    call = json.loads(json.dumps(shape))
    holder = call.get("function", call)
    for key in ("arguments", "parameters"):
        if as_text and key in holder:
            holder[key] = json.dumps(holder[key])
    entry: dict[str, Any] = call
    if container == "toolWithToolCallList":
        entry = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}, "toolCall": call}
        entry["server"] = {"timeoutSeconds": 10}
    message = parse(body("tool-calls", **{container: [entry]}))
    assert isinstance(message, vapi.ToolCalls)
    (found,) = message.calls
    assert (found.id, found.name, found.arguments) == ("a", "f", {"x": 1})
    assert found.timeout_s == (10 if container == "toolWithToolCallList" else None)


def test_order_is_kept_and_an_id_counts_once() -> None:
    first, second = tool("b"), tool("a")
    again = {"type": "function", "function": {"name": "f"}, "toolCall": tool("a"), "server": {"timeoutSeconds": 3}}
    found = tool_calls([first, second, first], None, [again, {"toolCall": tool("c")}])
    assert [(call.id, call.timeout_s) for call in found] == [("b", None), ("a", 3.0), ("c", None)]


def test_arguments_that_are_no_object() -> None:
    deep: Any = {}
    for _ in range(40):
        deep = {"d": deep}
    given = ["[1]", "{", 7, [1], '"x"', deep, "", None, {}]
    found = tool_calls([{"id": str(i), "name": "f", "arguments": value} for i, value in enumerate(given)])
    assert [call.arguments for call in found] == [None] * 6 + [{}, {}, {}]


def test_what_cannot_be_answered_is_left_out() -> None:
    assert tool_calls([1, None, {}, {"id": "", "name": "f"}, {"id": 3, "name": "f"}, {"id": "a"}], "x", {}) == ()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "body-invalid"),
        (b"{", "body-invalid"),
        (b"null", "body-invalid"),
        (b"[]", "body-invalid"),
        (b"{}", "body-invalid"),
        (b'{"message":{}}', "body-invalid"),
        (b'{"message":{"type":3}}', "body-invalid"),
        (b'{"message":{"type":"hang","call":"c-1"}}', "body-invalid"),
        (b'{"message":{"type":"\xff"}}', "body-invalid"),
        (b"[" * 100_000, "body-invalid"),
        (b'{"message":{"type":"tool-calls","toolCallList":' + b"[" * 100_000, "body-invalid"),
        (body("hang", call="a:b"), "call-id-invalid"),
        (body("hang", call="../x"), "call-id-invalid"),
        (body("hang", call="x" * 101), "call-id-invalid"),
        (body("tool-calls"), "tool-calls-empty"),
        (body("tool-calls", toolCallList=[{"id": "a"}]), "tool-calls-empty"),
        (body("function-call"), "tool-calls-empty"),
        (body("function-call", functionCall="x"), "tool-calls-empty"),
    ],
)
def test_malformed(raw: bytes, code: str) -> None:
    with pytest.raises(BadMessage) as caught:
        parse(raw)
    assert caught.value.code == code


def test_a_legacy_call_is_the_same_when_it_is_sent_again() -> None:
    first, other = (body("function-call", functionCall={"name": "f", "parameters": {"n": n}}) for n in (1, 2))
    ids = [parse(raw).function.id for raw in (first, first, other)]  # type: ignore[attr-defined]
    assert ids[0] == ids[1] != ids[2]


def test_samples_without_envelope() -> None:
    bare = parse(b'{"type":"function-call","callId":"c-2","functionCall":{"name":"f","arguments":"{\\"a\\":1}"}}')
    assert isinstance(bare, vapi.LegacyFunctionCall)
    assert (bare.call, bare.function.name, bare.function.arguments) == ("c-2", "f", {"a": 1})
    nested = {"text": "8pm", "confidence": 0.72, "type": "partial"}
    said = parse(json.dumps({"type": "transcript", "transcript": nested}).encode())
    assert isinstance(said, vapi.Transcript)
    assert (said.text, said.confidence, said.final, said.role) == ("8pm", 0.72, False, "user")
    assert parse(b'{"type":"hang","message":"slow"}').kind == "hang"


def test_the_type_alone_tells_a_final_transcript() -> None:
    message = parse(body(vapi.FINAL_TRANSCRIPT, role="user", transcript="x"))
    assert isinstance(message, vapi.Transcript)
    assert message.final
    assert message.kind == "transcript"


def test_a_word_of_the_provider_is_made_harmless() -> None:
    message = parse(body("status-update", status="in progress\n\x1b[31m", endedReason="x" * 1000))
    assert message.detail.isprintable()
    assert len(message.detail) < 450


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    """timestamp call callId chat session toolCalls toolCallList toolWithToolCallList functionCall transcript role
    transcriptType confidence turnId turn status endedReason summary analysis request language destination""".split()  # noqa: SIM905
)
CALLS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "name", "function", "toolCall", "arguments", "parameters", "server"), JSON)
)
TYPES = st.sampled_from([row[0] for row in TABLE])


@given(TYPES, st.dictionaries(FIELDS, JSON | CALLS | st.lists(CALLS, max_size=3), max_size=6))
def test_any_field_of_any_kind(kind: str, fields: dict[str, Any]) -> None:
    for value in ({"message": {"type": kind, **fields}}, {"type": kind, **fields}):
        _parsed(json.dumps(value).encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=200) | st.text().map(str.encode) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes(raw: bytes) -> None:
    _parsed(raw)


@given(TYPES, st.data())
def test_any_damage(kind: str, data: st.DataObject) -> None:
    raw = bytearray(body(kind, **next(row[1] for row in TABLE if row[0] == kind)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not raw:
            break
    _parsed(bytes(raw))


def _parsed(raw: bytes) -> None:
    try:
        message = parse(raw)
    except BadMessage:
        return
    assert message.detail.isprintable()
    message.detail.encode()


def tool(id: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "f", "arguments": {}}}
