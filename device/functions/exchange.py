"""Asks HTTP backends: time limits, retries, one circuit breaker per backend, and what an answer means.

Nothing of a request is logged but the function's name, the backend's host and what went wrong.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpx

from device.functions.breaker import Breaker, BreakerSettings, BreakerState
from device.functions.contract import BackendFailed, BackendUnavailable, Refused
from device.functions.template import one_line

ANSWER_LIMIT: Final = 256 * 1024
"""Bytes of an answer; a function's result is a few lines."""
REFUSED: Final = "backend-refused"
_NO_REASON: Final = "Sorry, the booking system did not accept that."
_CONNECT_S: Final = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
_BUSY: Final = frozenset({408, 425, 429})
_OUR_FAULT: Final = frozenset({401, 407})
"""Our credentials are wrong: no caller is helped by hearing why."""
_NEED_A_REASON: Final = frozenset({403, 404, 405})
"""A wrong path answers so too: they are a "no" only with a message in JSON."""
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)
_log = logging.getLogger("wakeline.functions")
# It logs every URL at INFO, and arguments can stand in it.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to a backend."""

    function: str
    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    timeout_s: float
    """Of one attempt, from the connection to the last byte."""
    retries: int
    repeatable: bool
    """Asking again is harmless even if the first request arrived."""


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes
    whole: bool
    """Not longer than an answer may be, and not compressed."""
    retry_after_s: float


class _Again(Exception):
    """The attempt failed in a way that may pass."""

    def __init__(self, why: str, *, sent: bool = True, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.sent = sent
        self.after_s = after_s


class Exchange:
    """One for all backends; `close` it."""

    def __init__(
        self,
        *,
        settings: BreakerSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._pause = pause
        self._chance = chance
        self._breakers: dict[tuple[str, str, int | None], Breaker] = {}
        self._http: httpx.AsyncClient | None = None

    def breaker(self, url: str) -> Breaker:
        """The one of the backend of this address: scheme, host and port."""
        parts = httpx.URL(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        return self._breakers.setdefault((parts.scheme, parts.host, port), Breaker(self._settings))

    async def ask(self, ask: Ask) -> Any:
        """The JSON that a backend answered; None for an answer without a body.

        Raises:
            Refused: the backend's own "no".
            BackendFailed, BackendUnavailable: no usable answer.
        """
        breaker = self.breaker(ask.url)
        host = httpx.URL(ask.url).host
        for attempt in range(ask.retries + 1):
            try:
                return _meaning(ask, await self._attempt(ask, breaker))
            except _Again as failure:
                _log.warning("%s: backend %s: %s", ask.function, host, failure)
                hopeless = attempt == ask.retries or breaker.state is BreakerState.OPEN
                if hopeless or not (ask.repeatable or not failure.sent):
                    raise BackendFailed(f"{ask.function}: {failure}") from None
                await self._pause(max(self._pause_s(attempt), min(failure.after_s, _LONGEST_PAUSE_S)))
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        """Close the connections that are kept open."""
        if self._http is not None:
            http, self._http = self._http, None
            await http.aclose()

    def _pause_s(self, attempt: int) -> float:
        """Twice as long each time, and never the same for everybody."""
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * float(2**attempt))
        return longest * (0.5 + self._chance() / 2)

    async def _attempt(self, ask: Ask, breaker: Breaker) -> _Reply:
        permit = breaker.admit(self._clock())
        if permit is None:
            raise BackendUnavailable(f"{ask.function}: the backend failed too often and is left alone for a while")
        try:
            async with asyncio.timeout(ask.timeout_s):
                reply = await self._send(ask)
        except (TimeoutError, httpx.HTTPError) as error:
            breaker.failed(permit, self._clock())
            # Its text may hold the address; the type says enough.
            raise _Again(type(error).__name__, sent=not isinstance(error, _NOT_SENT)) from None
        except BaseException:  # given up, or a fault of ours: in either case the permit comes back
            breaker.given_back(permit)
            raise
        if reply.status >= 500 or reply.status in _BUSY:
            breaker.failed(permit, self._clock())
            raise _Again(f"status {reply.status}", after_s=reply.retry_after_s)
        breaker.succeeded(permit)
        return reply

    async def _send(self, ask: Ask) -> _Reply:
        timeout = httpx.Timeout(None, connect=min(_CONNECT_S, ask.timeout_s))
        request = self._client().stream(
            ask.method, ask.url, headers=dict(ask.headers), content=ask.body, timeout=timeout, follow_redirects=False
        )
        async with request as response:
            body = bytearray()
            plain = response.headers.get("content-encoding", "identity").lower() == "identity"
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > ANSWER_LIMIT or not plain:
                    break
            whole = plain and len(body) <= ANSWER_LIMIT
            return _Reply(response.status_code, bytes(body), whole, _seconds(response.headers.get("retry-after", "")))

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            # No proxies, passwords or cookies but those of the configuration; the runner bounds the number of calls.
            self._http = httpx.AsyncClient(
                trust_env=False,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
                cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
                headers={"User-Agent": "wakeline", "Accept": "application/json", "Accept-Encoding": "identity"},
            )
        return self._http


def _meaning(ask: Ask, reply: _Reply) -> Any:
    host = httpx.URL(ask.url).host
    if 200 <= reply.status < 300:
        if not reply.whole:
            raise BackendFailed(f"{ask.function}: {host} answered more than {ANSWER_LIMIT} bytes, or compressed")
        if not reply.body.strip():
            return None
        try:
            return _parsed(reply.body)
        except ValueError:
            raise BackendFailed(f"{ask.function}: {host} answered something else than JSON") from None
    reason = _reason(reply) if 400 <= reply.status < 500 and reply.status not in _OUR_FAULT else None
    if reason is None:
        # A redirect is one too: whoever answers for the backend could send our secrets elsewhere.
        _log.warning("%s: backend %s: status %s", ask.function, host, reply.status)
        raise BackendFailed(f"{ask.function}: {host} answered with status {reply.status}")
    raise Refused(REFUSED, reason)


def _reason(reply: _Reply) -> str | None:
    """The backend's words for its "no"; None when it is no "no" of the function itself."""
    fallback = None if reply.status in _NEED_A_REASON else _NO_REASON
    try:
        said = _parsed(reply.body) if reply.whole else None
    except ValueError:
        return fallback
    for key in ("message", "error", "detail"):
        text = said.get(key) if isinstance(said, dict) else None
        text = text.get("message") if isinstance(text, dict) else text
        if isinstance(text, str) and (line := one_line(text)):
            return line
    return fallback


def _parsed(body: bytes) -> Any:
    """JSON as it is defined: without NaN, and not nested without end."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        return json.loads(body, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _seconds(header: str) -> float:
    return float(header) if header.isascii() and header.isdecimal() and len(header) < 6 else 0.0
