"""One escalation at a time: recorded before it is placed, placed once, watched until it is over, told in a sentence."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from audio.events import CallDialling, CallEnded, CallLive, CallRinging
from device.calls import outcome as outcomes
from device.calls import policy
from device.calls.link import (
    CallRequest,
    CallState,
    CallStatus,
    Cause,
    Destination,
    Link,
    LinkError,
    LinkNotReady,
    LinkUncertain,
    PlacedCall,
)
from device.calls.outcome import Outcome

log = logging.getLogger(__name__)

CallEvent = CallDialling | CallRinging | CallLive | CallEnded
Notify = Callable[[CallEvent], None]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as the store keeps it. What people said is not in it."""

    id: str
    at: float
    """Wall time, seconds since 1970."""
    destination: str
    link: str
    address: str
    emergency: bool = False
    vendor_id: str = ""
    """Empty until the vendor's answer is known."""
    cause: str = ""
    """A `Cause` value; empty while the attempt is open."""
    code: str = ""
    detail: str = ""
    answered: bool = False
    ended_at: float | None = None


class CallStore(Protocol):
    """The part of the store that escalations need; each method has committed when it returns."""

    def record_call(self, attempt: Attempt) -> None: ...

    def update_call(self, attempt: Attempt) -> None:
        """Replace the attempt with the same id."""
        ...

    def open_calls(self) -> list[Attempt]:
        """Attempts without a cause, oldest first."""
        ...

    def count_calls_since(self, at: float) -> int: ...


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall time for the record, steady time for limits, and waiting; replaced in tests."""

    now: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each step may take, in seconds."""

    poll: float = 1.0
    ring: float = 60.0
    """From the answer to the request until somebody answers the call."""
    longest: float = 600.0
    blind: float = 30.0
    """How long a call is kept in mind although its status cannot be read."""
    find: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    """Waits before each look for an uncertain call; a call may appear late."""
    hang_up: tuple[float, ...] = (0.0, 1.0, 3.0)
    """Waits before each attempt to end a call."""


class Escalation:
    """Places a call through a link and stays with it until it is over."""

    def __init__(
        self,
        links: Mapping[str, Link],
        store: CallStore,
        notify: Notify,
        *,
        budget: policy.Budget | None = None,
        patience: Patience | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._links = links
        self._store = store
        self._notify = notify
        self._budget = budget or policy.Budget()
        self._patience = patience or Patience()
        self._clock = clock or Clock()
        self._under_way = ""
        self._unwanted = asyncio.Event()

    @property
    def under_way(self) -> str:
        """Id of the call under way, or nothing."""
        return self._under_way

    def check(self, destination: Destination) -> None:
        """Raise `policy.CallRefusal` if no call may be placed now: before anybody is asked for consent."""
        placed = self._store.count_calls_since(self._clock.now() - policy.HOUR)
        policy.check(destination, self._budget, placed, bool(self._under_way))

    def hang_up(self) -> bool:
        """End the call under way, also one that is just being placed. False if there is none."""
        if not self._under_way:
            return False
        self._unwanted.set()
        return True

    async def place(self, destination: Destination, reason: str, summary: str = "") -> Outcome:
        """One attempt, whatever happens; returns when its outcome is known and recorded."""
        try:
            self.check(destination)
        except policy.CallRefusal as refusal:
            return outcomes.refused_by_policy(destination, refusal)
        request = CallRequest(uuid.uuid4().hex, destination, reason, summary, self._clock.now())
        attempt = Attempt(
            request.id, request.at, destination.name, destination.link, destination.address, destination.emergency
        )
        self._begin(request.id)
        try:
            self._store.record_call(attempt)
            self._notify(CallDialling(call=request.id, link=destination.link, destination=destination.name))
            return self._close(attempt, await self._attempt(request, attempt))
        finally:
            self._under_way = ""

    async def resume(self) -> list[Outcome]:
        """After a restart: find out what became of open attempts. Places nothing."""
        found: list[Outcome] = []
        for attempt in self._store.open_calls():
            self._begin(attempt.id)
            try:
                found.append(self._close(attempt, await self._pick_up(attempt)))
            finally:
                self._under_way = ""
        return found

    # -- the steps ----------------------------------------------------------------------------------------------
    def _begin(self, call: str) -> None:
        self._under_way = call
        self._unwanted.clear()

    async def _attempt(self, request: CallRequest, attempt: Attempt) -> Outcome:
        try:
            link = self._link(request.destination)
            placed = await self._placed(link, request)
        except LinkError as error:
            return outcomes.not_placed(request.id, request.destination, error)
        self._store.update_call(replace(attempt, vendor_id=placed.vendor_id))
        return await self._watch(link, placed, request.destination)

    async def _placed(self, link: Link, request: CallRequest) -> PlacedCall:
        """The only place that asks for a call. An uncertain one is looked for and never asked for again."""
        try:
            return await link.place(request)
        except LinkUncertain as error:
            placed = await self._found(link, request, self._patience.find)
            if placed is None:
                raise error
            return placed

    async def _pick_up(self, attempt: Attempt) -> Outcome:
        destination = Destination(attempt.destination, attempt.link, attempt.address, attempt.emergency)
        request = CallRequest(attempt.id, destination, "", at=attempt.at)
        try:
            link = self._link(destination)
            placed = PlacedCall(attempt.id, attempt.vendor_id) if attempt.vendor_id else None
            # No wait before the first look: the attempt is older than the restart.
            placed = placed or await self._found(link, request, (0.0, *self._patience.find[:2]))
        except LinkError as error:
            return outcomes.not_placed(attempt.id, destination, error)
        if placed is None:
            return outcomes.not_placed(attempt.id, destination, LinkUncertain("not found after a restart"))
        self._notify(CallDialling(call=attempt.id, link=attempt.link, destination=attempt.destination))
        self._store.update_call(replace(attempt, vendor_id=placed.vendor_id))
        return await self._watch(link, placed, destination)

    async def _found(self, link: Link, request: CallRequest, waits: tuple[float, ...]) -> PlacedCall | None:
        for wait in waits:
            await self._clock.sleep(wait)
            try:
                placed = await link.find(request)
            except LinkError as error:
                log.warning("call %s: cannot be looked for: %s", request.id, error)
                continue
            if placed is not None:
                return placed
        return None

    async def _watch(self, link: Link, placed: PlacedCall, destination: Destination) -> Outcome:
        watch = _Watch(self._patience, self._clock.steady())
        while True:
            status = await self._status(link, placed)
            now = self._clock.steady()
            for event in watch.saw(status, now, placed.request):
                self._notify(event)
            if status is not None and status.state is CallState.ENDED:
                cause = status.cause or Cause.UNKNOWN
                return outcomes.ended(
                    placed.request, destination, cause, answered=watch.answered(cause), detail=status.detail
                )
            end = Cause.CANCELLED if self._unwanted.is_set() else watch.over(now)
            if end is not None:
                return await self._end(link, placed, destination, end, watch)
            if watch.blind(now):
                code = "call-out-of-sight"
                return outcomes.ended(
                    placed.request, destination, Cause.UNKNOWN, answered=watch.live, detail="", code=code
                )
            await self._wait(self._patience.poll)

    async def _end(
        self, link: Link, placed: PlacedCall, destination: Destination, cause: Cause, watch: _Watch
    ) -> Outcome:
        """Hang up and see that it is over: no call is left running at the vendor unknown to the user."""
        for wait in self._patience.hang_up:
            await self._clock.sleep(wait)
            try:
                await link.hang_up(placed)
            except LinkError as error:
                log.warning("call %s: cannot be ended: %s", placed.request, error)
                continue
            await self._clock.sleep(self._patience.poll)
            status = await self._status(link, placed)
            if status is not None and status.state is CallState.ENDED:
                detail = status.detail
                return outcomes.ended(placed.request, destination, cause, answered=watch.live, detail=detail)
        code = "call-not-hung-up"
        return outcomes.ended(placed.request, destination, cause, answered=watch.live, detail="", code=code)

    async def _status(self, link: Link, placed: PlacedCall) -> CallStatus | None:
        try:
            return await link.status(placed)
        except LinkError as error:
            log.warning("call %s: status cannot be read: %s", placed.request, error)
            return None

    async def _wait(self, seconds: float) -> None:
        """Wait, but not longer than the call is wanted."""
        waits = {
            asyncio.ensure_future(self._clock.sleep(seconds)),
            asyncio.ensure_future(self._unwanted.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _close(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        known = next((each for each in self._store.open_calls() if each.id == attempt.id), attempt)
        self._store.update_call(
            replace(
                known,
                cause=outcome.cause.value,
                code=outcome.code,
                detail=outcome.detail,
                answered=outcome.answered,
                ended_at=self._clock.now(),
            )
        )
        log.info("call %s via %s: %s", outcome.call, outcome.link, outcome.code)
        self._notify(CallEnded(call=attempt.id, cause=outcome.cause.value))
        return outcome

    def _link(self, destination: Destination) -> Link:
        link = self._links.get(destination.link)
        if link is None:
            raise LinkNotReady(
                f"destination {destination.name!r} wants link {destination.link!r}, which does not exist"
            )
        return link


class _Watch:
    """What was seen of one call so far."""

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self._since = self._seen = now
        self._state = CallState.DIALLING

    @property
    def live(self) -> bool:
        return self._state is CallState.LIVE

    def answered(self, cause: Cause) -> bool:
        """A short call may be answered and over between two looks."""
        return self.live or cause is Cause.COMPLETED

    def saw(self, status: CallStatus | None, now: float, call: str) -> list[CallEvent]:
        if status is None:
            return []
        self._seen = now
        before = self._state
        if status.state is CallState.RINGING and before is CallState.DIALLING:
            self._state = CallState.RINGING
            return [CallRinging(call=call)]
        if status.state is CallState.LIVE and before is not CallState.LIVE:
            self._state = CallState.LIVE
            self._since = now
            return [CallLive(call=call)]
        return []

    def over(self, now: float) -> Cause | None:
        """The cause for which we end the call, when its time is over."""
        limit = self._patience.longest if self.live else self._patience.ring
        if now - self._since < limit:
            return None
        return Cause.COMPLETED if self.live else Cause.NO_ANSWER

    def blind(self, now: float) -> bool:
        return now - self._seen >= self._patience.blind
