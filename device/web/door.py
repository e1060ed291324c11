"""Owns the door: nobody comes in unproven, nothing authentic is done twice, and no answer leaves before it is kept.

Size and arrival time are limited while the request is read, the signature is checked on its raw bytes, and then the
record of answers is asked: the same request again gets the same answer. One that is under way is waited for.
Refused: 400 no request, 401 not proven, 405, 408 too slow, 413 too large, 429 too often; always `{"error": code}` and
nothing else. 500 is a mistake of ours, 503 a store that cannot keep the answer: the sender shall try again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from device.functions.commits import committed
from device.functions.contract import StoreFailed
from device.functions.store import Answered, Store
from device.settings import WebSection
from device.web.limits import Refusals, Sources
from device.web.requests import Answer, Authentic, Handler, Raw, Verifier
from device.web.signatures import Forged

__all__ = ["Answer", "Authentic", "Door", "DoorCounts", "Handler", "Raw", "Verifier", "refusal", "send_answer"]

log = logging.getLogger("wakeline.web")

BEGAN = "began"
"""In a request's state: the loop's time at its first byte."""


class Refusal(Exception):
    """The request is not let in."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class DoorCounts:
    """What came so far."""

    seen: int
    handled: int
    replayed: int
    """Authentic and seen before: answered from the record, or with the one under way."""
    refused: Mapping[str, int]
    """By code."""


class Door:
    """One for all webhooks; owned by the loop."""

    def __init__(self, web: WebSection, store: Store) -> None:
        """Raises `ValueError` for trusted proxies that are no addresses."""
        self._web = web
        self._store = store
        self._sources = Sources(web.trusted_proxies)
        self._refusals = Refusals(web.refused_per_minute, lambda: asyncio.get_running_loop().time())
        self._under_way: dict[str, asyncio.Future[Answer]] = {}
        self._seen = self._handled = self._replayed = 0
        self._refused: Counter[str] = Counter()

    def route(self, path: str, verifier: Verifier, handle: Handler) -> Route:
        """What is posted there goes to `handle`, if `verifier` lets it."""
        return Route(path, _Endpoint(self, verifier, handle))

    def counts(self) -> DoorCounts:
        return DoorCounts(self._seen, self._handled, self._replayed, dict(self._refused))

    async def answer(self, verifier: Verifier, handle: Handler, scope: Scope, receive: Receive) -> Answer:
        """Whatever came: the answer to it. Never raises."""
        self._seen += 1
        headers = read_headers(scope)
        try:
            request = await self._proven(verifier, scope, receive, headers)
        except Refusal as refused:
            return self._refuse(refused, scope, headers)
        except Forged as forged:
            return self._refuse(Refusal(401, forged.code), scope, headers)
        identity = scope["path"].encode() + b"\0" + verifier.identity(request)
        digest = hashlib.sha256(identity).hexdigest()
        authentic = Authentic(request.path, request.body, request.headers, request.query, request.now, digest)
        return await self._once(digest, handle, authentic)

    def _refuse(self, refused: Refusal, scope: Scope, headers: Mapping[str, str]) -> Answer:
        peer = (scope.get("client") or ("",))[0]
        source = self._sources.of(peer, headers.get("x-forwarded-for", ""))
        if self._refusals.over(source):
            refused = Refusal(429, "too-many-refused")
        self._refusals.count(source)
        self._refused[refused.code] += 1
        return refusal(refused.status, refused.code)

    async def _proven(self, verifier: Verifier, scope: Scope, receive: Receive, headers: Mapping[str, str]) -> Raw:
        if scope["method"] != "POST":
            raise Refusal(405, "method-not-allowed")
        if not verifier.claims(headers):
            raise Refusal(401, "signature-missing")
        body = await self._body(scope, receive, headers)
        query = scope["query_string"].decode("latin-1")
        request = Raw(scope["method"], scope["path"], query, headers, body, datetime.now(UTC))
        verifier.check(request)
        return request

    async def _body(self, scope: Scope, receive: Receive, headers: Mapping[str, str]) -> bytes:
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:16]) > self._web.body_limit:
            raise Refusal(413, "too-large")
        began = scope.get("state", {}).get(BEGAN) or asyncio.get_running_loop().time()
        body = bytearray()
        try:
            async with asyncio.timeout_at(began + self._web.slow_s):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise Refusal(400, "incomplete")
                    body += message.get("body", b"")
                    if len(body) > self._web.body_limit:
                        raise Refusal(413, "too-large")
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError:
            raise Refusal(408, "too-slow") from None

    # -- once -----------------------------------------------------------------------------------------------------
    async def _once(self, digest: str, handle: Handler, request: Authentic) -> Answer:
        if (other := self._under_way.get(digest)) is not None:
            self._replayed += 1
            return await asyncio.shield(other)
        self._under_way[digest] = mine = asyncio.get_running_loop().create_future()
        answer = _STOPPING
        try:
            answer = await self._kept_or_new(digest, handle, request)
        finally:
            mine.set_result(answer)
            del self._under_way[digest]
        return answer

    async def _kept_or_new(self, digest: str, handle: Handler, request: Authentic) -> Answer:
        try:
            with self._store.glance() as store:
                kept = store.answered(digest)
            if kept is not None:
                self._replayed += 1
                return Answer(kept.status, kept.body, kept.media_type)
            self._handled += 1
            answer = await handle(request)
            if answer.keep and answer.status < 500:
                record = Answered(digest, answer.status, answer.media_type, answer.body, request.received)
                await committed(self._store, lambda writing: writing.record_answered(record))
            return answer
        except StoreFailed as failure:
            log.error("%s is not answered: %s", request.path, failure.code)
            return refusal(503, failure.code)
        except Exception as error:
            return our_mistake(request.path, error)


class _Endpoint:
    """An ASGI application; a class, so that starlette hands it the connection as it is."""

    def __init__(self, door: Door, verifier: Verifier, handle: Handler) -> None:
        self._door = door
        self._verifier = verifier
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_answer(send, await self._door.answer(self._verifier, self._handle, scope, receive))


def read_headers(scope: Scope) -> dict[str, str]:
    """By name; a repeated one is joined, so that no signature and no secret fits it."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def refusal(status: int, code: str) -> Answer:
    """All that somebody who is not let in learns. After most of them the connection ends too."""
    headers = {"connection": "close"} if status in (400, 408, 429, 503) else {}
    if status == 429:
        headers["retry-after"] = "60"
    return Answer(status, json.dumps({"error": code}).encode(), keep=False, headers=headers)


def our_mistake(path: str, error: Exception) -> Answer:
    """Logged by its type and place: its text may hold a person's words."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    log.error("%s failed: %s in %s:%d", path, type(error).__name__, where.filename, where.lineno or 0)
    return refusal(500, "internal")


_STOPPING = refusal(503, "stopping")
"""For those who wait for the same request, if it is cancelled."""


async def send_answer(send: Send, answer: Answer) -> None:
    headers = [
        (b"content-type", answer.media_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        *((name.encode(), value.encode()) for name, value in answer.headers.items()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
