"""One escalation at a time: recorded before it is placed, placed once, watched until it is over, told in a sentence."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping

from audio.events import CallDialling, CallEnded
from device.calls import outcome as outcomes
from device.calls import policy
from device.calls.attempts import Attempt, CallStore
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
from device.calls.watch import CallEvent, Clock, Patience, Watch
from device.functions.contract import StoreFailed

log = logging.getLogger(__name__)

Notify = Callable[[CallEvent], None]


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
        # An emergency has no budget, and a store that fails does not stand against it.
        placed = 0 if destination.emergency else self._store.count_calls_since(self._clock.now() - policy.HOUR)
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
        except StoreFailed as failure:
            return outcomes.not_recorded("", destination, failure.code)
        request = CallRequest(uuid.uuid4().hex, destination, reason, summary, self._clock.now())
        self._begin(request.id)
        try:
            return await self._place(request)
        finally:
            self._under_way = ""

    async def resume(self) -> list[Outcome]:
        """After a restart, before anything is placed: find out what became of open attempts. Places nothing."""
        if self._under_way:
            raise policy.CallUnderWay("A call is already under way.")
        found: list[Outcome] = []
        for attempt in self._store.open_calls():
            self._begin(attempt.id)
            try:
                found.append(self._close(await self._pick_up(attempt)))
            finally:
                self._under_way = ""
        return found

    # -- the steps ----------------------------------------------------------------------------------------------
    def _begin(self, call: str) -> None:
        self._under_way = call
        self._unwanted.clear()

    async def _place(self, request: CallRequest) -> Outcome:
        to = request.destination
        try:
            self._store.record_call(Attempt(request.id, request.at, to.name, to.link, to.address, to.emergency))
        except StoreFailed as failure:
            # Without a record nobody could know after a restart that the call exists. An emergency is worth that.
            if not to.emergency:
                return outcomes.not_recorded(request.id, to, failure.code)
            log.error("call %s: emergency call without a record (%s)", request.id, failure.code)
        self._notify(CallDialling(call=request.id, link=to.link, destination=to.name))
        try:
            outcome = await self._attempt(request)
        except BaseException:  # also the end of the app
            # A fault of ours or the end of the app: the attempt stays open and is looked for at the next start.
            self._notify(CallEnded(call=request.id, cause=Cause.UNKNOWN.value))
            raise
        return self._close(outcome)

    async def _attempt(self, request: CallRequest) -> Outcome:
        try:
            link = self._link(request.destination)
            placed = await self._placed(link, request)
        except LinkError as error:
            return outcomes.not_placed(request.id, request.destination, error)
        self._keep_vendor_id(placed)
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
        self._keep_vendor_id(placed)
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
        watch = Watch(self._patience, self._clock.steady())
        while True:
            status = await self._status(link, placed)
            now = self._clock.steady()
            for event in watch.saw(status, now, placed.request):
                self._notify(event)
            if isinstance(status, CallStatus) and status.state is CallState.ENDED:
                cause = status.cause or Cause.UNKNOWN
                return outcomes.ended(
                    placed.request, destination, cause, answered=watch.answered(cause), detail=status.detail
                )
            end = Cause.CANCELLED if self._unwanted.is_set() else watch.over(now)
            if end is not None:
                return await self._end(link, placed, destination, end, watch)
            if watch.blind(now):
                seen, code = watch.live, "call-out-of-sight"
                why = str(status)
                return outcomes.ended(placed.request, destination, Cause.UNKNOWN, answered=seen, detail=why, code=code)
            await self._wait(watch.pause())

    async def _end(
        self, link: Link, placed: PlacedCall, destination: Destination, cause: Cause, watch: Watch
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
            if isinstance(status, CallStatus) and status.state is CallState.ENDED:
                detail = status.detail
                return outcomes.ended(placed.request, destination, cause, answered=watch.live, detail=detail)
        code = "call-not-hung-up"
        return outcomes.ended(placed.request, destination, cause, answered=watch.live, detail="", code=code)

    async def _status(self, link: Link, placed: PlacedCall) -> CallStatus | LinkError:
        try:
            return await link.status(placed)
        except LinkError as error:
            log.debug("call %s: status cannot be read: %s", placed.request, error)
            return error

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

    def _keep_vendor_id(self, placed: PlacedCall) -> None:
        try:
            self._store.mark_call_placed(placed.request, placed.vendor_id)
        except StoreFailed as failure:
            # The call exists: it is watched all the same, and looked for by its request after a restart.
            log.error("call %s: vendor id not recorded (%s)", placed.request, failure.code)

    def _close(self, outcome: Outcome) -> Outcome:
        try:
            self._store.mark_call_ended(
                outcome.call,
                outcome.cause.value,
                outcome.code,
                outcome.detail,
                outcome.answered,
                self._clock.now(),
            )
        except StoreFailed as failure:
            log.error("call %s: outcome not recorded (%s)", outcome.call, failure.code)
        log.info("call %s via %s: %s", outcome.call, outcome.link, outcome.code)
        self._notify(CallEnded(call=outcome.call, cause=outcome.cause.value))
        return outcome

    def _link(self, destination: Destination) -> Link:
        link = self._links.get(destination.link)
        if link is None:
            raise LinkNotReady(
                f"destination {destination.name!r} wants link {destination.link!r}, which does not exist"
            )
        return link
