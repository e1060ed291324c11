"""The practice link: a call that needs no account and rings nobody. Owns its scripts; the embedded default."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum

from device.calls.link import CallRequest, CallState, CallStatus, Cause, LinkRefused, LinkUncertain, PlacedCall

NAME = "practice"
DETAIL = "practice call"

Sleep = Callable[[float], Awaitable[None]]


class Script(StrEnum):
    """How a practice call goes."""

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    REFUSED = "refused"
    STALLED = "stalled"
    """The request is taken and never answered; no call comes of it."""
    DIED = "died"
    """The request is taken, the connection dies, and the call exists."""


_COURSE = (
    CallStatus(CallState.DIALLING, None, DETAIL),
    CallStatus(CallState.RINGING, None, DETAIL),
)
_LIVE = CallStatus(CallState.LIVE, None, DETAIL)


def _ended(cause: Cause) -> CallStatus:
    return CallStatus(CallState.ENDED, cause, DETAIL)


_SCRIPTS: dict[Script, tuple[CallStatus, ...]] = {
    Script.ANSWERED: (*_COURSE, _LIVE, _LIVE, _ended(Cause.COMPLETED)),
    Script.BUSY: (*_COURSE, _ended(Cause.BUSY)),
    Script.NO_ANSWER: (*_COURSE, _COURSE[1], _ended(Cause.NO_ANSWER)),
    Script.DIED: (*_COURSE, _LIVE, _ended(Cause.COMPLETED)),
}


class PracticeLink:
    """Goes one step further each time it is asked for the status, so it is the same every time."""

    name = NAME

    def __init__(
        self,
        script: Script = Script.ANSWERED,
        *,
        refused_status: int = 402,
        pace: float = 0.5,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.requests = 0
        self.placed = 0
        self._script = script
        self._refused_status = refused_status
        self._pace = pace
        self._sleep = sleep
        self._steps: dict[str, int] = {}
        self._hung_up: set[str] = set()

    async def place(self, request: CallRequest) -> PlacedCall:
        self.requests += 1
        await self._sleep(self._pace)
        if self._script is Script.REFUSED:
            raise LinkRefused(f"{DETAIL} refused as ordered", self._refused_status)
        if self._script is Script.STALLED:
            raise LinkUncertain(f"{DETAIL} stalled as ordered")
        self.placed += 1
        call = _call_for(request)
        self._steps[call.vendor_id] = 0
        if self._script is Script.DIED:
            raise LinkUncertain(f"{DETAIL} died as ordered")
        return call

    async def find(self, request: CallRequest) -> PlacedCall | None:
        call = _call_for(request)
        return call if call.vendor_id in self._steps else None

    async def status(self, call: PlacedCall) -> CallStatus:
        step = self._steps.get(call.vendor_id)
        if step is None:
            # Practice calls do not outlive the process that began them.
            return _ended(Cause.CANCELLED)
        if call.vendor_id in self._hung_up:
            return _ended(Cause.CANCELLED)
        course = _SCRIPTS[self._script]
        self._steps[call.vendor_id] = min(step + 1, len(course) - 1)
        return course[step]

    async def hang_up(self, call: PlacedCall) -> None:
        self._hung_up.add(call.vendor_id)

    async def aclose(self) -> None:
        return None


def _call_for(request: CallRequest) -> PlacedCall:
    return PlacedCall(request.id, f"practice-{request.id}")
