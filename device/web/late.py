"""Results that come after "still working": owns Vapi's live call control and how a late result reaches the call.

A control URL is the only credential of a call: it is never logged, never stored, and followed only to Vapi.
A result is told once. When it is not known whether Vapi took it, it is not told again: it can be polled.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine, Mapping
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

import httpx

from device.calls.vapi import BASE_URL, USER_AGENT
from device.functions.commits import committed
from device.functions.contract import LateResult, StillWorking, StoreFailed
from device.functions.store import Reading, RecordedCall, Store
from device.web.sessions import LiveSession, Phase, Sessions, call_of

_HOST = "vapi.ai"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_AGAIN = frozenset({429, 500, 502, 503, 504})
_MOST_AT_ONCE = 64
CUT_IN = "Okay."
_log = logging.getLogger("wakeline.vapi")


def may_follow(url: str, base_url: str = BASE_URL) -> bool:
    """Vapi's own hosts by https alone; a loopback double only where the configuration has one as Vapi."""
    try:
        parts, base = urlsplit(url), urlsplit(base_url)
        port = parts.port
    except ValueError:
        return False
    host = (parts.hostname or "").rstrip(".")
    if "@" in parts.netloc or not host or not url.isprintable() or "\\" in url:
        return False
    if base.hostname in _LOOPBACK:
        return host == base.hostname and parts.scheme == base.scheme
    return parts.scheme == "https" and port in (None, 443) and (host == _HOST or host.endswith(f".{_HOST}"))


def say(text: str, *, over: bool = False) -> dict[str, Any]:
    """Speak a text; `over` replaces what the assistant is saying."""
    return {"type": "say", "content": text, "interruptAssistantEnabled": over, "interruptionsEnabled": True}


def tell(name: str, sentence: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    """A result for the model, which then speaks: it knows what was asked, and needs the values for what comes next."""
    words = f"The result of {name} has come. Tell the caller now: {sentence or 'it is done.'}"
    facts = f" Its values: {json.dumps(dict(value), ensure_ascii=False)}" if value else ""
    message = {"role": "system", "content": " ".join((words + facts).split())}
    return {"type": "add-message", "message": message, "triggerResponseEnabled": True}


class Told(Enum):
    """What became of a message to a call."""

    DONE = "done"
    REFUSED = "refused"
    """The call has ended, or the URL is wrong."""
    UNREACHED = "unreached"
    """It was not sent, whatever was tried."""
    UNKNOWN = "unknown"
    """Sent, and no answer."""


class Control:
    """Live call control: one POST, tried again only while it certainly was not taken."""

    def __init__(self, *, timeout_s: float = 5.0, pauses_s: tuple[float, ...] = (0.5, 2.0)) -> None:
        self._timeout = timeout_s
        self._pauses = pauses_s
        self._http: httpx.AsyncClient | None = None

    async def post(self, url: str, message: Mapping[str, Any], *, again: bool = True) -> Told:
        for pause in (*(self._pauses if again else ()), None):
            told = await self._once(url, message)
            if told is not Told.UNREACHED or pause is None:
                return told
            await asyncio.sleep(pause)
        return Told.UNREACHED

    async def _once(self, url: str, message: Mapping[str, Any]) -> Told:
        try:
            async with asyncio.timeout(self._timeout * 2):  # httpx bounds each read, not the whole answer
                answer = await self._client().post(url, json=message)
        except (*_NOT_SENT, httpx.InvalidURL, httpx.UnsupportedProtocol):
            return Told.UNREACHED
        except (httpx.HTTPError, TimeoutError):
            return Told.UNKNOWN
        if answer.is_success:
            return Told.DONE
        return Told.UNREACHED if answer.status_code in _AGAIN else Told.REFUSED

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            # It does not follow redirects: a control URL leads to Vapi and nowhere else.
            self._http = httpx.AsyncClient(timeout=self._timeout, headers={"User-Agent": USER_AGENT})
        return self._http

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None


class Late:
    """Brings late results to their calls, each in a task of its own, so that one slow call holds up nobody."""

    def __init__(self, store: Store, sessions: Sessions, control: Control) -> None:
        self._store = store
        self._sessions = sessions
        self._control = control
        self._telling: dict[str, asyncio.Task[Told | None]] = {}
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)

    def accept(self, late: LateResult) -> asyncio.Task[Told | None] | None:
        """One from the runner. None: it belongs to no call of Vapi's, or is being told already."""
        call, result = late.call, late.result
        if not call_of(call.session) or isinstance(result.error, StillWorking):
            return None
        return self._start(call.id, call.session, tell(call.name, result.sentence, result.value))

    def revive(self, waiting: list[RecordedCall]) -> None:
        """Those that the store holds for a call whose control URL has just become known."""
        for one in waiting:
            self._start(one.id, one.session, tell(one.name, one.sentence, one.value))

    def interrupt(self, session: LiveSession) -> None:
        """Cut what the assistant is saying."""
        if session.control_url:
            # Not tried again: a moment later the words are said, and it would cut the answer to them.
            cut = self._control.post(session.control_url, say(CUT_IN, over=True), again=False)
            self._spawn(f"cut:{session.id}", cut)

    async def settle(self) -> None:
        """Wait for what is being told."""
        while self._telling:
            await asyncio.wait(self._telling.values())

    async def close(self) -> None:
        for task in self._telling.values():
            task.cancel()
        await self.settle()
        await self._control.close()

    def _start(self, id: str, session: str, message: dict[str, Any]) -> asyncio.Task[Told | None] | None:
        return self._spawn(id, self._tell(id, session, message))

    def _spawn(self, id: str, work: Coroutine[Any, Any, Told | None]) -> asyncio.Task[Told | None] | None:
        if id in self._telling:
            work.close()
            return None
        task = asyncio.create_task(work, name="wakeline-late")
        self._telling[id] = task
        task.add_done_callback(lambda _: self._telling.pop(id, None))
        return task

    async def _tell(self, id: str, session: str, message: dict[str, Any]) -> Told | None:
        async with self._places:
            live = self._sessions.get(call_of(session))
            if live is None or live.phase is Phase.ENDED or not live.control_url:
                return None  # waits in the store until a message of this call brings its URL; polling has it
            try:
                if not await committed(self._store, lambda tx: _waits(tx, session, id)):
                    return None
                told = await self._control.post(live.control_url, message)
                if told is Told.DONE:
                    await committed(self._store, lambda tx: tx.mark_delivered(id))
                else:
                    _log.warning("a late result was not told: %s", told.value)
                if told is Told.UNREACHED:
                    live.control_url = ""  # the call's next message brings it again, and then it is tried again
            except StoreFailed as error:
                _log.warning("a late result may be told twice, or not: %s", error.code)
                return None
            return told


def _waits(tx: Reading, session: str, id: str) -> bool:
    """A result that nobody has told, of a call that has not ended: its last events may arrive after its report."""
    row = tx.session(session)
    over = row is not None and (row.ended is not None or row.state == "ended")
    return not over and any(one.id == id for one in tx.undelivered(session))
