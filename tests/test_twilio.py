"""Twilio's webhooks: what a caller gets in each mode and in each fault, and status callbacks in any order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twilio.twiml.voice_response import VoiceResponse

from device.config import Config
from device.functions.contract import StoreFailed
from device.functions.sqlite_store import SqliteStore
from device.secrets import Secrets
from device.web.requests import Answer, Authentic
from device.web.tickets import Tickets
from device.web.twilio import TERMINAL, TwilioEndpoint
from device.web.twilio_form import MOST_FIELDS, FormInvalid, read_call, read_form

T = TypeVar("T")
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
CALL = "CA" + "1" * 32
SESSION = f"twilio:{CALL}"
SORRY = "Nobody is here <now> & later."
SECRETS = {"VAPI_API_KEY": "key", "VAPI_ASSISTANT_ID": "as-1", "VAPI_PHONE_NUMBER_ID": "pn-1"}
RINGING = {"CallSid": CALL, "CallStatus": "ringing", "From": "+12025550177", "To": "+12025550100", "CallerCity": ""}


def post(form: dict[str, str] | bytes, path: str = "/webhook/twilio/voice") -> Authentic:
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    return Authentic(path=path, body=body, headers={}, query="", received=NOW)


@contextmanager
def store_in(folder: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(folder / "wakeline.db")) as store:
        yield store


def endpoint(store: Any, *, http: httpx.AsyncClient | None = None, media: Tickets | None = None, **twilio: Any) -> Any:
    config = Config(
        twilio={"inbound": "say", "inbound_text": SORRY, "number": "+12025550100", **twilio},
        web={"base_url": "https://edge.example.org"},
    )
    return TwilioEndpoint(config, Secrets(SECRETS), store, lambda: NOW, http, media=media)


def voice(folder: Path, form: dict[str, str] = RINGING, **given: Any) -> Answer:
    with store_in(folder) as store:
        answer: Answer = asyncio.run(endpoint(store, **given).voice(post(form)))
    return answer


def apology() -> str:
    response = VoiceResponse()
    response.say(SORRY)
    response.hangup()
    return str(response)


def same(answer: Answer, expected: VoiceResponse | str) -> bool:
    assert answer.status == 200
    assert answer.media_type == "text/xml"
    got, want = (ElementTree.canonicalize(text) for text in (answer.body.decode(), str(expected)))
    return got == want


# -- what a caller gets -------------------------------------------------------------------------------------------
def test_say(tmp_path: Path) -> None:
    assert same(voice(tmp_path), apology())


def test_without_a_setting_the_assistant_at_vapi_gets_it_and_without_an_account_the_sentence(tmp_path: Path) -> None:
    with store_in(tmp_path) as store:
        config = Config(twilio={"inbound_text": SORRY})
        assert config.twilio.inbound == "vapi"
        no_account = TwilioEndpoint(config, Secrets({}, tmp_path / "none"), store, lambda: NOW)
        assert same(asyncio.run(no_account.voice(post(RINGING))), apology())


def test_number(tmp_path: Path) -> None:
    expected = VoiceResponse()
    dial = expected.dial(answer_on_bridge=True, action="https://edge.example.org/webhook/twilio/fallback")
    dial.number("+12025550199")
    assert same(voice(tmp_path, inbound="number", inbound_to="+12025550199"), expected)


def test_sip_tells_the_other_end_which_call_it_is(tmp_path: Path) -> None:
    root = ElementTree.fromstring(voice(tmp_path, inbound="sip", inbound_to="sip:pi7@sip.vapi.ai").body)
    assert root.findtext("Dial/Sip") == f"sip:pi7@sip.vapi.ai?x-device=wakeline&x-call_sid={CALL}"
    assert root.find("Dial").attrib["answerOnBridge"] == "true"  # type: ignore[union-attr]


def test_a_long_sip_address_goes_without_headers(tmp_path: Path) -> None:
    to = "sip:" + "a" * 220 + "@h.org"
    root = ElementTree.fromstring(voice(tmp_path, inbound="sip", inbound_to=to).body)
    assert root.findtext("Dial/Sip") == to


def test_assistant_stream_as_the_tutorial_has_it(tmp_path: Path) -> None:
    expected = VoiceResponse()
    expected.connect().stream(url="wss://api.vapi.ai/ws").parameter(name="assistantId", value="as-1")
    assert same(voice(tmp_path, inbound="assistant-stream"), expected)


def test_stream_to_this_device_carries_a_ticket_that_is_good_once(tmp_path: Path) -> None:
    tickets = Tickets(lambda: NOW)
    answer = voice(tmp_path, inbound="stream", media=tickets)
    root = ElementTree.fromstring(answer.body)
    stream = root.find("Connect/Stream")
    assert stream is not None
    assert stream.attrib["url"] == "wss://edge.example.org/media"
    parameter = stream.find("Parameter")
    assert parameter is not None
    assert not answer.keep
    assert tickets.redeem(parameter.attrib["value"], CALL)
    assert not tickets.redeem(parameter.attrib["value"], CALL)


def test_a_ticket_is_for_one_call_and_for_a_minute() -> None:
    now = [NOW]
    tickets = Tickets(lambda: now[0])
    assert not tickets.redeem(tickets.issue("CA1"), "CA2")
    late = tickets.issue("CA1")
    now[0] += timedelta(minutes=1)
    assert not tickets.redeem(late, "CA1")
    assert not tickets.redeem("", "")


@pytest.mark.parametrize(
    "settings",
    [
        {"inbound": "stream"},
        {"inbound": "stream", "inbound_to": "https://x.example.org/media"},
        {"inbound": "stream", "inbound_to": "wss://x.example.org/media?token=1"},
        {"inbound": "number"},
        {"inbound": "number", "inbound_to": "12025550199"},
        {"inbound": "number", "inbound_to": "+12025550100"},
        {"inbound": "sip", "inbound_to": "pi7@sip.vapi.ai"},
        {"inbound": "assistant-stream", "inbound_to": "ws://x.example.org"},
    ],
)
def test_what_is_not_set_up_ends_in_the_sentence(tmp_path: Path, settings: dict[str, str]) -> None:
    assert same(voice(tmp_path, **settings), apology())


# -- the hand-over to Vapi ----------------------------------------------------------------------------------------
TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="wss://v.example.org/s"/></Connect></Response>'
Handler = Callable[[httpx.Request], httpx.Response]


class Vapi:
    """Answers `POST /call`, and keeps what was asked."""

    def __init__(self, status: int = 201, value: Any = None) -> None:
        self.asked: list[httpx.Request] = []
        self._status = status
        self._value = {"id": "c", "phoneCallProviderDetails": {"twiml": TWIML}} if value is None else value

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if isinstance(self._value, Exception):
            raise self._value
        return httpx.Response(self._status, json=self._value)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self))


def test_vapi_gets_the_call_by_its_bypass_once(tmp_path: Path) -> None:
    vapi = Vapi()

    async def play(store: SqliteStore) -> list[Answer]:
        ours = endpoint(store, http=vapi.client(), inbound="vapi")
        return await asyncio.gather(ours.voice(post(RINGING)), ours.voice(post(RINGING)))

    with store_in(tmp_path) as store:
        answers = asyncio.run(play(store))
    assert [answer.body.decode() for answer in answers] == [TWIML, TWIML]
    assert not answers[0].keep
    (request,) = vapi.asked
    assert str(request.url) == "https://api.vapi.ai/call"
    assert request.headers["authorization"] == "Bearer key"
    assert request.headers["user-agent"].startswith("wakeline/")
    assert json.loads(request.content) == {
        "assistantId": "as-1",
        "phoneNumberId": "pn-1",
        "phoneCallProviderBypassEnabled": True,
        "customer": {"number": "+12025550177", "numberE164CheckEnabled": False},
    }


def test_after_a_restart_the_call_is_not_handed_over_again(tmp_path: Path) -> None:
    vapi = Vapi()
    assert same(voice(tmp_path, http=vapi.client(), inbound="vapi"), TWIML)
    assert same(voice(tmp_path, http=vapi.client(), inbound="vapi"), apology())
    assert len(vapi.asked) == 1


@pytest.mark.parametrize("mode", ["vapi", "stream"])
def test_a_replay_gets_no_credential(tmp_path: Path, mode: str) -> None:
    async def play(store: SqliteStore) -> list[Answer]:
        ours = endpoint(store, http=Vapi().client(), inbound=mode, media=Tickets(lambda: NOW))
        ages = (timedelta(), timedelta(seconds=10), timedelta(minutes=5))
        return [await ours.voice(replace(post(RINGING), received=NOW + age)) for age in ages]

    with store_in(tmp_path) as store:
        first, soon, late = asyncio.run(play(store))
    assert b"<Stream" in first.body
    assert b"<Stream" in soon.body
    assert same(late, apology())


@pytest.mark.parametrize(
    "vapi",
    [
        Vapi(400, {"message": "no"}),
        Vapi(402, {}),
        Vapi(429, {}),
        Vapi(500, {}),
        Vapi(201, {}),
        Vapi(201, []),
        Vapi(201, {"phoneCallProviderDetails": "x"}),
        Vapi(201, {"phoneCallProviderDetails": {"twiml": "<Response>"}}),
        Vapi(201, {"phoneCallProviderDetails": {"twiml": "<Other/>"}}),
        Vapi(201, {"phoneCallProviderDetails": {"twiml": '<!DOCTYPE a [<!ENTITY b "c">]><Response>&b;</Response>'}}),
        Vapi(201, httpx.ConnectError("x")),
        Vapi(201, httpx.ReadTimeout("x")),
        Vapi(201, httpx.RemoteProtocolError("x")),
    ],
    ids=str,
)
def test_every_fault_of_vapi_ends_in_the_sentence_and_is_not_repeated(tmp_path: Path, vapi: Vapi) -> None:
    vapi.asked.clear()
    assert same(voice(tmp_path, http=vapi.client(), inbound="vapi"), apology())
    assert len(vapi.asked) == 1


def test_vapi_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    with store_in(tmp_path) as store:
        ours = endpoint(store, http=httpx.AsyncClient(transport=httpx.MockTransport(never)), inbound="vapi")
        monkeypatch.setattr(ours._bypass, "_patience", 0.05)
        assert same(asyncio.run(ours.voice(post(RINGING))), apology())


class Broken:
    """A store whose disk is full."""

    def submit(self, work: Any, *, urgent: bool = False) -> Any:
        raise StoreFailed("full")


def test_a_broken_store_costs_the_caller_nothing() -> None:
    ours = endpoint(Broken(), inbound="number", inbound_to="+12025550199")
    assert b"<Dial" in asyncio.run(ours.voice(post(RINGING))).body
    assert same(asyncio.run(ours.fallback(post(RINGING))), apology())
    answer = asyncio.run(ours.status(post(RINGING)))
    assert (answer.status, answer.keep) == (503, False)


# -- after dialling, and fallback ---------------------------------------------------------------------------------
@pytest.mark.parametrize(("dialled", "said"), [("completed", False), ("busy", True), ("no-answer", True), ("", True)])
def test_who_talked_hears_no_apology_afterwards(tmp_path: Path, dialled: str, said: bool) -> None:
    form = RINGING | ({"DialCallStatus": dialled} if dialled else {})
    with store_in(tmp_path) as store:
        answer = asyncio.run(endpoint(store).fallback(post(form)))
        with store.reading() as view:
            assert [event.kind for event in view.session_events(SESSION)] == ["after"]
    assert (b"<Say>" in answer.body) == said


def test_fallback_says_something_whatever_comes() -> None:
    for body in (b"", b"\xff", b"x", b"CallSid=", b"a=1&" * 500):
        assert same(asyncio.run(endpoint(Broken()).fallback(post(body))), apology())


# -- status callbacks ---------------------------------------------------------------------------------------------
def status(number: int | None, word: str) -> dict[str, str]:
    return RINGING | {"CallStatus": word} | ({} if number is None else {"SequenceNumber": str(number)})


def test_a_call_from_its_ringing_to_its_end(tmp_path: Path) -> None:
    async def play(store: SqliteStore) -> None:
        ours = endpoint(store)
        await ours.voice(post(RINGING))
        for number, word in enumerate(("initiated", "ringing", "in-progress", "completed")):
            answer = await ours.status(post(status(number, word)))
            assert (answer.status, answer.body) == (204, b"")

    with store_in(tmp_path) as store:
        asyncio.run(play(store))
        with store.reading() as view:
            session = view.session(SESSION)
            kinds = [event.kind for event in view.session_events(SESSION)]
    assert session is not None
    assert kinds == ["voice", "initiated", "ringing", "in-progress", "completed"]
    assert (session.state, session.reason, session.ended) == ("ended", "completed", NOW)


def test_nobodys_number_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with store_in(tmp_path) as store:
        asyncio.run(endpoint(store, inbound="number").voice(post(RINGING)))
        with store.reading() as view:
            kept = repr(view.session_events(SESSION)) + repr(view.session(SESSION))
    assert "2025550177" not in kept + caplog.text


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from([None, *sorted(TERMINAL)]), st.booleans())
def test_any_order_and_any_repetition_tell_the_same_story(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, end: str | None, numbered: bool
) -> None:
    words = ["initiated", "ringing", "in-progress"][: data.draw(st.integers(1, 3))] + ([end] if end else [])
    sent = list(enumerate(words))
    arrived = data.draw(st.permutations(sent + data.draw(st.lists(st.sampled_from(sent), max_size=4))))
    states: list[str] = []

    async def play(store: SqliteStore) -> None:
        ours = endpoint(store)
        for number, word in arrived:
            assert (await ours.status(post(status(number if numbered else None, word)))).status == 204
            with store.reading() as view:
                session = view.session(SESSION)
            assert session is not None
            states.append(session.state)

    with store_in(tmp_path_factory.mktemp("store")) as store:
        asyncio.run(play(store))
        with store.reading() as view:
            session = view.session(SESSION)
            kinds = [event.kind for event in view.session_events(SESSION)]
    assert session is not None
    assert kinds == words
    assert (session.state, session.reason) == (("ended", end) if end else (words[-1], ""))
    after = states[states.index("ended") :] if end else []
    assert set(after) <= {"ended"}


# -- forms --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "form-field-invalid"),
        (b"CallStatus=ringing", "form-field-invalid"),
        (b"CallSid=CA1&CallSid=CA2&CallStatus=ringing", "form-field-invalid"),
        (b"CallSid=../../x&CallStatus=ringing", "form-field-invalid"),
        (b"CallSid=CA1&CallStatus=%00", "form-field-invalid"),
        (b"CallSid=CA1&CallStatus=ringing&SequenceNumber=-1", "form-field-invalid"),
        (b"CallSid=CA1&CallStatus=ringing&SequenceNumber=99999999999999999999", "form-field-invalid"),
        (b"CallSid=CA1", "form-field-invalid"),
        (b"CallSid=%ff&CallStatus=ringing", "form-unreadable"),
        (b"\xff\xfe", "form-unreadable"),
        (b"{}", "form-unreadable"),
        (b"a=1&" * MOST_FIELDS + b"CallSid=CA1", "form-too-many-fields"),
    ],
)
def test_a_malformed_status_is_a_typed_400(body: bytes, code: str) -> None:
    answer = asyncio.run(endpoint(Broken()).status(post(body)))
    assert (answer.status, answer.keep) == (400, False)
    assert json.loads(answer.body)["error"]["code"] == code


@given(st.binary(max_size=200) | st.text(alphabet="CallSid=&%+A1;0fF", max_size=60).map(str.encode))
def test_any_bytes_are_a_form_or_a_typed_error(body: bytes) -> None:
    with contextlib.suppress(FormInvalid):
        assert read_call(body).call.startswith("CA")


PIECE = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(PIECE, PIECE), min_size=1, max_size=20))
def test_a_form_comes_back_as_it_was_sent(pairs: list[tuple[str, str]]) -> None:
    assert read_form(urlencode(pairs).encode()) == pairs
