"""Twilio's webhooks: what a caller gets (TwiML), how a call goes on (status callbacks), and what is said when it fails.

A caller never hears "application error": every fault of ours or of a vendor ends in a sentence. A status callback is
answered once it is stored.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import httpx

from device.calls.link import LinkError
from device.config import Config
from device.functions.commits import committed
from device.functions.contract import StoreFailed
from device.functions.store import Store, Writing
from device.secrets import Secrets
from device.web import twiml
from device.web.bypass import Bypass
from device.web.requests import Answer, Authentic
from device.web.tickets import Tickets
from device.web.twilio_form import CallForm, FormInvalid, read_call

log = logging.getLogger("wakeline.web.twilio")

VOICE = "/webhook/twilio/voice"
STATUS = "/webhook/twilio/status"
FALLBACK = "/webhook/twilio/fallback"
NO_FINAL_STATUS = "no-final-status"
"""Why a session was closed of whose end Twilio has not told."""
TERMINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})

_VOICE_NUMBER = -1
"""The place of the voice request in the session: before SequenceNumber 0."""
_AFTER_NUMBER = 1_000_000
"""... and of what followed our dialling: after every SequenceNumber."""
_LONGEST = timedelta(hours=5)
"""Twilio ends a call after four hours, and tells of nothing while people talk."""
_MOST_REMEMBERED = 1000
_REPEATED = timedelta(seconds=60)
"""Twilio sends a request again within seconds; what comes later is a replay and gets no credential."""


class TwilioEndpoint:
    """Three handlers behind the door; each request is authentic already."""

    def __init__(
        self,
        config: Config,
        secrets: Secrets,
        store: Store,
        clock: Callable[[], datetime],
        http: httpx.AsyncClient | None = None,
        *,
        media: Tickets | None = None,
    ) -> None:
        """`media`: the tickets that this device's media socket takes; None while it has no such socket."""
        self._settings = config.twilio
        self._base_url = config.web.base_url.rstrip("/")
        self._store = store
        self._clock = clock
        self._media = media
        self._assistant = secrets.get("VAPI_ASSISTANT_ID") or config.vapi.assistant_id
        self._bypass = Bypass(
            secrets.get("VAPI_API_KEY"),
            self._assistant,
            secrets.get("VAPI_PHONE_NUMBER_ID") or config.vapi.phone_number_id,
            base_url=config.vapi.base_url,
            http=http,
        )
        self._handed: OrderedDict[str, asyncio.Task[str]] = OrderedDict()

    async def voice(self, request: Authentic) -> Answer:
        """A call to our number: what the caller gets, by `twilio.inbound`."""
        try:
            form = read_call(request.body)
        except FormInvalid as error:
            return _refused(error)
        age = await self._opened(form, request.received)
        try:
            text = await self._inbound(form, age)
        except (twiml.InboundNotReady, LinkError) as error:
            log.warning("inbound call: %s: %s", error.code, error)
            text = self._sorry()
        return _twiml(text)

    async def status(self, request: Authentic) -> Answer:
        """How a call goes on, inbound or placed by us."""
        try:
            form = read_call(request.body, status_needed=True)
        except FormInvalid as error:
            return _refused(error)
        try:
            await committed(self._store, lambda store: note_status(store, form, request.received))
        except StoreFailed as error:
            log.error("status callback: %s: %s", error.code, error)
            return _error(503, error.code, "not stored: send it again")
        # Its place in the session is its record.
        return Answer(status=204, body=b"", keep=False)

    async def fallback(self, request: Authentic) -> Answer:
        """Asked by Twilio when the voice webhook failed, and after our dialling: nobody there gets the sentence."""
        try:
            form = read_call(request.body)
        except FormInvalid as error:
            log.warning("fallback: %s: %s", error.code, error)
            return _twiml(self._sorry())
        await self._noted(form, request.received)
        done = form.dialled in ("completed", "answered")
        return _twiml(twiml.hang_up() if done else self._sorry())

    async def tidy(self) -> int:
        """Close calls whose final status never came; how many. Now and then."""
        now = self._clock()

        def work(store: Writing) -> int:
            quiet = store.quiet_sessions("twilio", now - _LONGEST)
            return sum(store.close_session(id, NO_FINAL_STATUS, "", now) for id in quiet)

        return await committed(self._store, work)

    async def aclose(self) -> None:
        for task in self._handed.values():
            task.cancel()
        await asyncio.gather(*self._handed.values(), return_exceptions=True)
        await self._bypass.aclose()

    # -- what a caller gets ---------------------------------------------------------------------------------------
    async def _inbound(self, form: CallForm, age: timedelta | None) -> str:
        settings = self._settings
        match settings.inbound:
            case "number":
                return twiml.number(settings, form.called, self._base_url + FALLBACK)
            case "sip":
                return twiml.sip(settings, form.call, self._base_url + FALLBACK)
            case "stream":
                return self._stream(form, age)
            case "assistant-stream":
                return twiml.assistant_stream(settings, self._assistant)
            case "vapi":
                return await self._handed_over(form, age)
            case "say":
                return self._sorry()

    def _stream(self, form: CallForm, age: timedelta | None) -> str:
        if self._settings.inbound_to:
            return twiml.stream(self._settings.inbound_to.strip(), {"call": form.call})
        if self._media is None:
            raise twiml.InboundNotReady("this device has no media stream: set twilio.inbound_to to one that is there")
        if age is not None and age > _REPEATED:
            raise twiml.InboundNotReady("an old voice request was sent again: no new ticket for it")
        base = urlsplit(self._base_url)
        if base.scheme != "https":
            raise twiml.InboundNotReady("set web.base_url to an https address: a media stream needs it")
        url = f"{base._replace(scheme='wss').geturl()}/media"
        return twiml.stream(url, {"ticket": self._media.issue(form.call)})

    async def _handed_over(self, form: CallForm, age: timedelta | None) -> str:
        """One request at Vapi per call: repeated soon it gets the same TwiML, later or after a restart the sentence."""
        task = self._handed.get(form.call)
        if age is not None and (task is None or age > _REPEATED):
            raise twiml.InboundNotReady("this call was handed to Vapi before")
        if task is None:
            task = self._handed[form.call] = asyncio.create_task(self._bypass.hand_over(form.caller))
            while len(self._handed) > _MOST_REMEMBERED:
                self._handed.popitem(last=False)
        # Twilio may hang up on us while Vapi works; its repetition shall find the answer.
        return await asyncio.shield(task)

    def _sorry(self) -> str:
        return twiml.say(self._settings.inbound_text)

    # -- the record -----------------------------------------------------------------------------------------------
    async def _opened(self, form: CallForm, at: datetime) -> timedelta | None:
        """Age of the first voice request of the call; None if this is it. A broken store costs a caller nothing."""
        try:
            return await committed(self._store, lambda store: note_voice(store, form, at), urgent=True)
        except StoreFailed as error:
            log.error("inbound call: %s: %s", error.code, error)
            return timedelta() if form.call in self._handed else None

    async def _noted(self, form: CallForm, at: datetime) -> None:
        def note(store: Writing) -> None:
            store.open_session(_session(form), "twilio", at)
            detail = f"dialled={form.dialled}" if form.dialled else "fallback"
            store.note_session(_session(form), "after", detail, at, number=_AFTER_NUMBER)

        try:
            await committed(self._store, note)
        except StoreFailed as error:
            log.error("fallback: %s: %s", error.code, error)


def note_voice(store: Writing, form: CallForm, at: datetime) -> timedelta | None:
    """Opens the session of a call that came in; how old its voice request is when it was noted before."""
    session = _session(form)
    store.open_session(session, "twilio", at)
    if not store.note_session(session, "voice", form.detail, at, number=_VOICE_NUMBER):
        return at - next(event.at for event in store.session_events(session) if event.number == _VOICE_NUMBER)
    if form.status and not _statuses(store, session):
        store.set_session_state(session, form.status)
    return None


def note_status(store: Writing, form: CallForm, at: datetime) -> bool:
    """Notes a status in its place; False for a duplicate. A session has its latest state until a final one ends it."""
    session = _session(form)
    store.open_session(session, "twilio", at)
    before = _statuses(store, session)
    if not store.note_session(session, form.status, form.detail, at, number=form.number):
        return False
    if any(kind in TERMINAL for kind in before.values()):
        return True
    if form.status in TERMINAL:
        store.close_session(session, form.status, "", at)
    elif all(number < form.number for number in before):
        store.set_session_state(session, form.status)
    return True


def _statuses(store: Writing, session: str) -> dict[int, str]:
    events = store.session_events(session)
    return {event.number: event.kind for event in events if 0 <= event.number < _AFTER_NUMBER}


def _twiml(text: str) -> Answer:
    """Not kept: addresses and tickets of streams are credentials, and a full disk shall not cost the caller."""
    return Answer(body=text.encode(), media_type="text/xml", keep=False)


def _session(form: CallForm) -> str:
    return f"twilio:{form.call}"


def _refused(error: FormInvalid) -> Answer:
    log.warning("malformed form: %s: %s", error.code, error)
    return _error(400, error.code, str(error))


def _error(status: int, code: str, message: str) -> Answer:
    return Answer(status=status, body=json.dumps({"error": {"code": code, "message": message}}).encode(), keep=False)
