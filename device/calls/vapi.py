"""Vapi by plain HTTP: a telephone call by its assistant. Owns the payload, the meaning of statuses and end reasons.

The control URL of a call is its only credential: it is kept in memory and never logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import httpx

from device.calls.link import (
    CallRequest,
    CallState,
    CallStatus,
    Cause,
    LinkError,
    LinkUncertain,
    PlacedCall,
)
from device.calls.vendor import dialable, error_of, require

# It logs every URL at INFO, control URLs too.
logging.getLogger("httpx").setLevel(logging.WARNING)

BASE_URL = "https://api.vapi.ai"
USER_AGENT = "wakeline/0.1"  # without one the edge answers 403 "error code: 1010"
_LOOK_BACK = 50
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)

_STATES: Mapping[str, CallState] = MappingProxyType(
    {
        "scheduled": CallState.DIALLING,
        "queued": CallState.DIALLING,
        "ringing": CallState.RINGING,
        "in-progress": CallState.LIVE,
        "forwarding": CallState.LIVE,
        "ended": CallState.ENDED,
        "not-found": CallState.ENDED,
        "deletion-failed": CallState.ENDED,
    }
)

_CAUSES: tuple[tuple[str, Cause], ...] = (
    # More than 600 reasons exist and new ones appear: the first prefix that fits decides.
    ("customer-busy", Cause.BUSY),
    ("call.forwarding.operator-busy", Cause.BUSY),
    ("customer-did-not-answer", Cause.NO_ANSWER),
    ("call.forwarding.no-answer", Cause.NO_ANSWER),
    ("voicemail", Cause.NO_ANSWER),
    ("call.in-progress.error-providerfault-outbound-sip-480", Cause.NO_ANSWER),
    ("call.in-progress.error-providerfault-outbound-sip-408", Cause.NO_ANSWER),
    ("call.in-progress.error-providerfault-outbound-sip-403", Cause.REFUSED),
    ("customer-did-not-give", Cause.FAILED),
    ("customer-ended-call", Cause.COMPLETED),
    ("assistant-ended-call", Cause.COMPLETED),
    ("assistant-said-end-call-phrase", Cause.COMPLETED),
    ("assistant-forwarded-call", Cause.COMPLETED),
    ("exceeded-max-duration", Cause.COMPLETED),
    ("silence-timed-out", Cause.COMPLETED),
    ("vonage-completed", Cause.COMPLETED),
    ("call.in-progress.twilio-completed-call", Cause.COMPLETED),
    ("call.in-progress.sip-completed-call", Cause.COMPLETED),
    ("call.ending.hook-executed", Cause.COMPLETED),
    ("manually-canceled", Cause.CANCELLED),
    ("call-deleted", Cause.CANCELLED),
    ("scheduled-call-deleted", Cause.CANCELLED),
    ("call.ringing.sip-inbound-caller-hungup", Cause.CANCELLED),
    ("call.start.", Cause.REFUSED),
    ("call-start-error", Cause.REFUSED),
    ("assistant-not-", Cause.REFUSED),
    ("assistant-request-", Cause.REFUSED),
    ("vonage-rejected", Cause.REFUSED),
    ("twilio-reported-customer-misdialed", Cause.REFUSED),
    ("call.", Cause.FAILED),
    ("pipeline-", Cause.FAILED),
    ("twilio-", Cause.FAILED),
    ("vonage-", Cause.FAILED),
    ("assistant-join-", Cause.FAILED),
    ("phone-call-provider-", Cause.FAILED),
    ("worker-shutdown", Cause.FAILED),
)


def cause_of(reason: str) -> Cause:
    """Why a call ended, in our words."""
    return next((cause for prefix, cause in _CAUSES if reason.startswith(prefix)), Cause.UNKNOWN)


def state_of(call: Mapping[str, Any]) -> CallStatus:
    """How far a call has come; a status of the future is read from the times beside it."""
    status = str(call.get("status") or "")
    reason = str(call.get("endedReason") or "")
    state = _STATES.get(status)
    if state is None:
        ended = reason or call.get("endedAt")
        state = CallState.ENDED if ended else CallState.LIVE if call.get("startedAt") else CallState.DIALLING
    if state is CallState.ENDED:
        return CallStatus(state, cause_of(reason), reason or status)
    return CallStatus(state, None, status)


class VapiLink:
    """Places calls by `POST /call`, watches them by `GET /call/{id}`, ends them by their control URL."""

    name = "vapi"

    def __init__(
        self,
        api_key: str,
        assistant_id: str,
        phone_number_id: str,
        *,
        base_url: str = BASE_URL,
        timeout: float = 10.0,
        longest: int = 600,
    ) -> None:
        self._key = api_key
        self._assistant = assistant_id
        self._number = phone_number_id
        self._base = base_url.rstrip("/")
        self._timeout = timeout
        self._longest = longest
        self._controls: dict[str, str] = {}
        self._http: httpx.AsyncClient | None = None

    async def place(self, request: CallRequest) -> PlacedCall:
        self._require()
        payload = self.payload(request)
        call = _object(await self._exchange("POST", "/call", payload))
        if not isinstance(call.get("id"), str):
            raise LinkUncertain("Vapi accepted the call and its answer cannot be read")
        self._learn(call)
        return PlacedCall(request.id, call["id"])

    def payload(self, request: CallRequest) -> dict[str, Any]:
        """The body of `POST /call` (CreateCallDTO); there is no top-level metadata."""
        address = dialable(request)
        variables = {
            "request": request.id,
            "destination": request.destination.name,
            "reason": request.reason,
            "summary": request.summary,
        }
        return {
            "name": _label(request),
            "assistantId": self._assistant,
            "phoneNumberId": self._number,
            "customer": {"sipUri" if address.startswith("sip") else "number": address},
            "assistantOverrides": {
                "variableValues": variables,
                "metadata": {"op_id": request.id},
                # The vendor ends the call by itself if this device is gone.
                "maxDurationSeconds": max(10, self._longest),
            },
        }

    async def find(self, request: CallRequest) -> PlacedCall | None:
        self._require()
        query = {"limit": str(_LOOK_BACK), "phoneNumberId": self._number}
        calls = await self._exchange("GET", "/call", query=query)
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict) and isinstance(call.get("id"), str) and _is_ours(call, request):
                self._learn(call)
                return PlacedCall(request.id, call["id"])
        return None

    async def status(self, call: PlacedCall) -> CallStatus:
        return state_of(await self._call(call))

    async def hang_up(self, call: PlacedCall) -> None:
        control = self._controls.get(call.vendor_id)
        if control is None:
            # After a restart the URL is learnt anew. DELETE /call/{id} would erase the call's record, not end it.
            if state_of(await self._call(call)).state is CallState.ENDED:
                return
            control = self._controls.get(call.vendor_id)
        if control is None:
            raise LinkError("the call has no control URL: allow control in the assistant's monitor plan")
        try:
            await self._exchange("POST", control, {"type": "end-call"})
        except LinkError:
            # A call that is over has no control any more: that is what was wanted.
            if (await self.status(call)).state is not CallState.ENDED:
                raise

    async def aclose(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    # -- the wire -----------------------------------------------------------------------------------------------
    def _require(self) -> None:
        require(
            "Vapi",
            VAPI_API_KEY=self._key,
            VAPI_ASSISTANT_ID=self._assistant,
            VAPI_PHONE_NUMBER_ID=self._number,
        )

    async def _call(self, call: PlacedCall) -> dict[str, Any]:
        self._require()
        found = _object(await self._exchange("GET", f"/call/{call.vendor_id}"))
        self._learn(found)
        return found

    def _learn(self, call: Mapping[str, Any]) -> None:
        monitor = call.get("monitor")
        control = monitor.get("controlUrl") if isinstance(monitor, dict) else None
        # A URL that is less well protected than the interface itself is not followed.
        if isinstance(control, str) and urlsplit(control).scheme == urlsplit(self._base).scheme:
            self._controls[str(call.get("id"))] = control

    async def _exchange(
        self, method: str, where: str, body: dict[str, Any] | None = None, *, query: dict[str, str] | None = None
    ) -> Any:
        """One request, never repeated. The key goes to the interface only, not to control URLs."""
        ours = where.startswith("/")
        headers = {"Authorization": f"Bearer {self._key}"} if ours else {}
        url = self._base + where if ours else where
        try:
            async with asyncio.timeout(self._timeout * 2):  # httpx bounds each read, not the whole answer
                answer = await self._client().request(method, url, json=body, params=query, headers=headers)
        except (*_NOT_SENT, httpx.InvalidURL) as error:
            raise LinkError(f"Vapi cannot be reached ({type(error).__name__})") from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise LinkUncertain(f"Vapi gave no answer ({type(error).__name__})") from None
        if not answer.is_success:
            raise error_of("Vapi", answer.status_code, _said(answer))
        try:
            return answer.json()
        except ValueError:
            return None

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=self._timeout, headers={"User-Agent": USER_AGENT})
        return self._http


def _label(request: CallRequest) -> str:
    return f"wakeline {request.id}"[:40]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_ours(call: Mapping[str, Any], request: CallRequest) -> bool:
    """The metadata comes back in the call or in its overrides; the name is ours too."""
    for holder in (call, _object(call.get("assistantOverrides"))):
        if _object(holder.get("metadata")).get("op_id") == request.id:
            return True
    return call.get("name") == _label(request)


def _said(answer: httpx.Response) -> str:
    try:
        said = _object(answer.json()).get("message", "")
    except ValueError:
        return ""
    return "; ".join(map(str, said)) if isinstance(said, list) else str(said)
