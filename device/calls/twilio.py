"""Twilio by its official client: a telephone call that reads a message to the person who answers.

Twilio keeps nothing of ours with a call, and its time filter knows whole days and no call that is still queued. So an
uncertain call is found by number, direction and age, counted on Twilio's own clock: a device may have a wrong one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any, TypeVar

from device.calls.link import (
    CallRequest,
    CallState,
    CallStatus,
    Cause,
    LinkError,
    LinkRefused,
    LinkUncertain,
    PlacedCall,
)
from device.calls.policy import spoken_name
from device.calls.vendor import dialable, error_of, require

BASE_URL = "https://api.twilio.com"
_SLACK = 30.0
"""Seconds by which a call may seem older than our attempt."""
_LONGEST_TWIML = 4000
"""Characters that Twilio takes in one parameter."""

_STATES: Mapping[str, tuple[CallState, Cause | None]] = MappingProxyType(
    {
        "queued": (CallState.DIALLING, None),
        "initiated": (CallState.DIALLING, None),
        "ringing": (CallState.RINGING, None),
        "in-progress": (CallState.LIVE, None),
        "completed": (CallState.ENDED, Cause.COMPLETED),
        "busy": (CallState.ENDED, Cause.BUSY),
        "no-answer": (CallState.ENDED, Cause.NO_ANSWER),
        "failed": (CallState.ENDED, Cause.FAILED),
        "canceled": (CallState.ENDED, Cause.CANCELLED),
    }
)

_T = TypeVar("_T")


def message(request: CallRequest, caller: str = "the voice assistant") -> str:
    """TwiML: who calls and why, said twice, because the first words are often missed."""
    from twilio.twiml.voice_response import VoiceResponse

    who = spoken_name(request.destination)
    parts = [f"Hello, this is {caller}.", f"I am calling for {who}.", request.reason.strip()]
    if request.summary.strip():
        parts.append("This is what was said so far: " + request.summary.strip())
    text = " ".join(part if part.endswith((".", "!", "?")) else part + "." for part in parts if part)
    while True:
        response = VoiceResponse()
        for _ in range(2):
            response.pause(length=1)
            response.say(text)
        response.hangup()
        if len(str(response)) <= _LONGEST_TWIML:
            return str(response)
        text = text[: len(text) * 3 // 4]  # escaped characters count as several, so cut and look again


class TwilioLink:
    """Places calls by `calls.create`; the client is loaded on first use and runs in a thread."""

    name = "twilio"

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        number: str,
        *,
        base_url: str = BASE_URL,
        timeout: float = 10.0,
        ring: int = 40,
        longest: int = 600,
        caller: str = "the voice assistant",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._account = account_sid
        self._token = auth_token
        self._number = number
        self._base = base_url.rstrip("/")
        self._timeout = timeout
        self._ring = ring
        self._longest = longest
        self._caller = caller
        self._now = now
        self._client: Any = None

    async def place(self, request: CallRequest) -> PlacedCall:
        self._require()
        address = dialable(request)

        def create() -> str:
            call = self._load().calls.create(
                to=address,
                from_=self._number,
                twiml=message(request, self._caller),
                timeout=self._ring,
                time_limit=self._longest,  # Twilio ends the call by itself if this device is gone
            )
            return str(call.sid or "")

        sid = await self._in_thread(create)
        if not sid:
            raise LinkUncertain("Twilio accepted the call and its answer cannot be read")
        return PlacedCall(request.id, sid)

    async def find(self, request: CallRequest) -> PlacedCall | None:
        self._require()
        address = dialable(request)

        def look() -> str | None:
            client = self._load()
            calls = client.calls.list(to=address, from_=self._number, limit=20)
            return self._youngest_since(request.at, calls, client.http_client.server_time)

        sid = await self._in_thread(look)
        return PlacedCall(request.id, sid) if sid else None

    def _youngest_since(self, attempted: float, calls: Iterable[Any], server_time: datetime | None) -> str | None:
        if not attempted or server_time is None:
            return None
        oldest = self._now() - attempted + _SLACK
        ours = [
            (call.date_created, str(call.sid))
            for call in calls
            if call.direction == "outbound-api"
            and call.date_created is not None
            and (server_time - call.date_created).total_seconds() <= oldest
        ]
        return max(ours)[1] if ours else None

    async def status(self, call: PlacedCall) -> CallStatus:
        self._require()
        word = await self._in_thread(lambda: str(self._load().calls(call.vendor_id).fetch().status))
        if word not in _STATES:
            raise LinkError(f"Twilio knows a call status that we do not: {word[:30]!r}")
        state, cause = _STATES[word]
        return CallStatus(state, cause, word)

    async def hang_up(self, call: PlacedCall) -> None:
        self._require()

        def end() -> None:
            # "completed" ends a call in every state; "canceled" would miss one that was answered a moment ago.
            self._load().calls(call.vendor_id).update(status="completed")

        try:
            await self._in_thread(end)
        except LinkRefused:
            if (await self.status(call)).state is not CallState.ENDED:
                raise

    async def aclose(self) -> None:
        self._client = None

    # -- the client ---------------------------------------------------------------------------------------------
    def _require(self) -> None:
        require(
            "Twilio",
            TWILIO_ACCOUNT_SID=self._account,
            TWILIO_AUTH_TOKEN=self._token,
            TWILIO_NUMBER=self._number,
        )

    def _load(self) -> Any:
        if self._client is None:
            from twilio.rest import Client

            http = _http_client(self._base, self._timeout)
            self._client = Client(self._account, self._token, http_client=http)
        return self._client

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        try:
            async with asyncio.timeout(self._timeout * 2):  # the client bounds each read, not the whole answer
                return await asyncio.to_thread(_translated, work)
        except TimeoutError:
            raise LinkUncertain("Twilio gave no answer in time") from None


def _translated(work: Callable[[], _T]) -> _T:
    """Run the client and turn its errors into ours."""
    from requests import exceptions as http
    from twilio.base.exceptions import TwilioException

    try:
        return work()
    except TwilioException as error:
        raise _refusal(error) from None
    except (http.InvalidURL, http.MissingSchema, http.InvalidSchema) as error:
        raise LinkError(f"Twilio cannot be reached ({type(error).__name__})") from None
    except (http.RequestException, OSError, ValueError) as error:
        if _never_sent(error):
            raise LinkError(f"Twilio cannot be reached ({type(error).__name__})") from None
        raise LinkUncertain(f"Twilio gave no answer that can be read ({type(error).__name__})") from None


def _refusal(error: Any) -> LinkError:
    status = getattr(error, "status", None)
    if not isinstance(status, int):
        return LinkError(f"the Twilio client gave up ({type(error).__name__})")
    code = getattr(error, "code", None)
    said = f"code {code}, {getattr(error, 'msg', '')}" if code else str(getattr(error, "msg", ""))
    return error_of("Twilio", status, said)


def _never_sent(error: BaseException) -> bool:
    """True when the connection failed before a byte of the request was on its way."""
    from requests import exceptions as http
    from urllib3 import exceptions as pool

    if isinstance(error, http.ConnectTimeout | http.SSLError | http.ProxyError):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, pool.NewConnectionError | pool.ConnectTimeoutError | pool.SSLError)


def _http_client(base: str, timeout: float) -> Any:
    """The client's transport with a time limit, without retries, at another base URL if asked, and silent."""
    from twilio.http.http_client import TwilioHttpClient

    quiet = logging.getLogger("wakeline.twilio")
    quiet.setLevel(logging.WARNING)  # it logs URLs with the account and the number called at INFO

    class Transport(TwilioHttpClient):  # type: ignore[misc]
        server_time: datetime | None = None

        def request(self, method: str, url: str, *args: Any, **rest: Any) -> Any:
            if url.startswith(BASE_URL):
                url = base + url[len(BASE_URL) :]
            response = super().request(method, url, *args, **rest)
            self.server_time = _http_date(response.headers) or self.server_time
            return response

    return Transport(timeout=timeout, max_retries=0, logger=quiet)


def _http_date(headers: Mapping[str, str] | None) -> datetime | None:
    try:
        return parsedate_to_datetime((headers or {}).get("Date", ""))
    except (TypeError, ValueError):
        return None
