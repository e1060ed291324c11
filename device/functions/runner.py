"""Runs function calls: checked, once per id, in order, within their budget, recorded before they are answered.

A call over its budget is recorded as running, answered `StillWorking`, leaves its seat and its session's turn to
others and goes on. Its end is recorded and comes out of `late()`; a crash in between is made good by `resume()`.

An effect is answered once its record is committed. A read is answered at once, and its record follows in the next
group of changes: if a crash comes first, the same call reads again, and nobody can tell.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from datetime import datetime, tzinfo
from typing import Any

from device.functions.commits import inbox
from device.functions.context import Context, FunctionStore
from device.functions.contract import (
    FunctionCall,
    FunctionError,
    FunctionResult,
    IdReused,
    LateResult,
    StillWorking,
    StoreFailed,
)
from device.functions.flight import SPOKEN_ORIGINS, URGENT_ORIGINS, Flight, Phase
from device.functions.hours import BookSettings
from device.functions.outcomes import guarded, guarded_async, outcome_of
from device.functions.places import Places
from device.functions.records import accepted, call_of, failed, keep, known, record_of, result_of, same_call
from device.functions.registry import FunctionSpec, Registry
from device.functions.store import RecordedCall, Store, Writing
from device.functions.threads import Inbox
from device.functions.unit import RecordedElsewhere, Unit
from device.functions.workshop import Workshop

ContextFactory = Callable[[FunctionCall, FunctionStore], Context]
"""Makes the context of one call; the store in it is the one passed in."""

Ended = tuple[FunctionResult, RecordedCall | None]
"""What came of a call, and the record that has still to be kept."""
LIMIT_S = 120.0
"""A call that still works after so long is given up."""
_log = logging.getLogger("wakeline.functions")


def context_factory(clock: Callable[[], datetime], timezone: tzinfo, book: BookSettings) -> ContextFactory:
    """The usual contexts: one house, one clock, one book."""

    def make(call: FunctionCall, store: FunctionStore) -> Context:
        return Context(store, call.id, call.session, call.origin, clock, timezone, book)

    return make


class Runner:
    """One for the whole app, used from its loop."""

    def __init__(
        self, registry: Registry, store: Store, context_factory: ContextFactory, *, limit_s: float = LIMIT_S
    ) -> None:
        self._registry = registry
        self._store = store
        self._context = context_factory
        self._limit_s = limit_s
        self._flights: dict[str, Flight] = {}
        self._last_effect: dict[str, Flight] = {}
        self._late: asyncio.Queue[LateResult] = asyncio.Queue()
        self._places = Places()
        self._workshop = Workshop(store)

    # -- the door -------------------------------------------------------------------------------------------------
    async def run(self, call: FunctionCall, *, budget_s: float | None = None) -> FunctionResult:
        """The result, never an exception. Going on although the caller is cancelled: an effect is never half told."""
        try:
            spec = accepted(self._registry, call)
            flight = self._flights.get(call.id)
            if flight is not None:
                same_call(spec, call, flight.call.arguments, flight.spec.name)
            else:
                budget_s = spec.budget_s if budget_s is None else min(budget_s, spec.budget_s)
                flight = self._prepared(call, spec, budget_s)
                flight.alarm(budget_s, self._over_budget)
                self._start(flight)
        except FunctionError as error:
            return failed(call.id, error)
        return await asyncio.shield(flight.answer)

    async def look_up(self, id: str) -> FunctionResult | None:
        """What is recorded of a call, or that it still works; None for one that nobody knows."""
        flight = self._flights.get(id)
        if flight is not None:
            return flight.answer.result() if flight.answer.done() else failed(id, StillWorking(id))
        try:
            return await self._workshop.run(lambda: known(self._store, id))
        except StoreFailed as error:
            return failed(id, error)

    async def late(self) -> AsyncIterator[LateResult]:
        """The results of calls that were answered "still working"; for one consumer."""
        while True:
            yield await self._late.get()

    async def resume(self) -> None:
        """After a start: run again what was running, and tell what ended and was not told."""

        def waiting() -> tuple[list[RecordedCall], list[RecordedCall], set[str]]:
            with self._store.reading() as store:
                return store.running_calls(), store.undelivered(), {one.reply for one in store.unheard()}

        try:
            running, ended, unheard = await self._workshop.run(waiting)
        except StoreFailed as error:
            _log.error("late results cannot be read: %s", error.code)
            return
        for record in ended:
            if record.id in self._flights:
                continue
            if record.id in unheard:  # it is told from there
                await self._kept(_delivered(record.id))
            else:
                self._late.put_nowait(LateResult(call_of(record), result_of(record)))
        for record in running:
            if record.id not in self._flights:
                await self._resume(record)

    async def drain(self) -> None:
        """Wait for what runs, before the store is closed; what is parked is resumed after the next start."""
        while waiting := [
            flight.task if flight.phase is Phase.OVER and flight.task is not None else flight.answer
            for flight in self._flights.values()
            if flight.phase is Phase.OVER or not flight.told_later
        ]:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # so that those that are over leave
        parked = [flight for flight in self._flights.values() if flight.task is not None]
        for flight in parked:
            if flight.task is not None and flight.unit.abandon():
                flight.task.cancel()
        await asyncio.gather(*(flight.task for flight in parked if flight.task), return_exceptions=True)

    # -- order ----------------------------------------------------------------------------------------------------
    def _prepared(self, call: FunctionCall, spec: FunctionSpec, budget_s: float) -> Flight:
        arguments = spec.check(call.arguments)
        urgent = call.origin in URGENT_ORIGINS
        unit = Unit(self._store, effect=spec.effect, blocking_allowed=not spec.is_async, urgent=urgent)
        seat = self._places.seat(spec, urgent=urgent)
        return Flight(call, spec, arguments, unit, self._context(call, unit), seat, budget_s)

    def _start(self, flight: Flight) -> None:
        # Effects of one session queue up; a read waits for the effects before it, and nothing waits for a read.
        session = flight.call.session
        before = self._last_effect.get(session) if session else None
        self._flights[flight.call.id] = flight
        if flight.spec.effect and session:
            self._last_effect[session] = flight
        flight.task = asyncio.create_task(self._fly(flight, before))
        flight.task.add_done_callback(lambda task: self._landed(flight, task))

    def _landed(self, flight: Flight, task: asyncio.Task[None]) -> None:
        flight.quiet()
        flight.seat.leave()
        flight.end_turn()
        if self._flights.get(flight.call.id) is flight:  # not one of the same id that has come since
            del self._flights[flight.call.id]
        if self._last_effect.get(flight.call.session) is flight:
            del self._last_effect[flight.call.session]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: %s", flight.spec.name, type(error).__name__, exc_info=error)
        flight.tell(failed(flight.call.id, FunctionError()))  # unless it was told anything before

    async def _resume(self, record: RecordedCall) -> None:
        call = call_of(record)
        try:
            spec = self._registry.get(call.name)
            flight = self._prepared(call, spec, spec.budget_s)
        except FunctionError as error:
            # The function is gone, or takes other arguments since: whoever asked is told.
            result = failed(call.id, error)
            spoken = call.origin in SPOKEN_ORIGINS
            if await self._kept(keep(record_of(call, call.name, result, record.created), spoken_later=spoken)):
                self._late.put_nowait(LateResult(call, result))
            return
        flight.still_working()
        flight.parking, flight.row = flight.answer, record
        self._start(flight)

    # -- time -----------------------------------------------------------------------------------------------------
    def _over_budget(self, flight: Flight) -> None:
        flight.parking = asyncio.ensure_future(self._park(flight))
        if flight.phase is Phase.AT_WORK:
            self._watch(flight)

    async def _park(self, flight: Flight) -> None:
        """Recorded before it is answered: from now on a crash does not lose it."""
        try:
            if await self._workshop.submit(flight.running, urgent=flight.urgent):
                flight.still_working()
        except StoreFailed as error:
            flight.tell(failed(flight.call.id, error))

    def _watch(self, flight: Flight) -> None:
        """Its budget counts from its begin here: it may have waited long for the effects before it."""
        left = flight.began + flight.budget_s - asyncio.get_running_loop().time()
        flight.alarm(max(left, 0.0), self._slow)

    def _slow(self, flight: Flight) -> None:
        """It is slow itself: its session goes on without it, and others have its seat and its thread's place."""
        if flight.job is not None and not flight.job.started:
            flight.alarm(flight.budget_s, self._slow)  # no: there is no thread for it yet
            return
        flight.end_turn()
        if flight.job is None or self._workshop.leave_to_itself(flight.job, urgent=flight.urgent):
            flight.seat.lend()
        flight.alarm(max(self._limit_s - flight.budget_s, 0.0), self._give_up)

    def _give_up(self, flight: Flight) -> None:
        if flight.end is not None and flight.unit.abandon():
            flight.end.cancel()

    # -- one call -------------------------------------------------------------------------------------------------
    async def _fly(self, flight: Flight, before: Flight | None) -> None:
        if before is not None and not before.turn_over.done():
            await asyncio.wait([before.turn_over])
        await flight.seat.take()
        flight.begin()
        if flight.parking is not None:
            self._watch(flight)
        result, record = await self._ended(flight)
        flight.phase = Phase.OVER
        flight.quiet()
        flight.seat.leave()
        if flight.parking is not None:
            await asyncio.wait([flight.parking])  # first that it runs, then how it ended
        elif not flight.spec.effect:
            flight.tell(result)
        if record is not None:
            result = await self._recorded(flight, result, record)
        del self._flights[flight.call.id]  # who asks now is answered from the record
        if flight.told_later and not isinstance(result.error, StillWorking):
            self._late.put_nowait(LateResult(flight.call, result))
        flight.tell(result)

    async def _ended(self, flight: Flight) -> Ended:
        try:
            return await self._carried_out(flight)
        except RecordedElsewhere:
            found = await self._workshop.run(lambda: known(self._store, flight.call.id))
            return found or failed(flight.call.id, FunctionError()), None
        except FunctionError as error:
            if isinstance(error, StoreFailed):
                _log.error("%s: %s", flight.spec.name, error)
            result = failed(flight.call.id, error)
            # It could not be recorded either, or the record is another call's.
            return result, None if isinstance(error, StoreFailed | IdReused) else flight.record(result)

    async def _carried_out(self, flight: Flight) -> Ended:
        if not flight.spec.is_async:
            news = inbox()
            flight.job = self._workshop.start(lambda: self._at_work(flight, news), urgent=flight.urgent)
            flight.end = flight.job.end
            return await flight.work_ended()  # type: ignore[no-any-return]
        before = await self._workshop.run(lambda: self._known(flight), urgent=flight.urgent)
        if before is not None:
            return before, None
        working = asyncio.ensure_future(guarded_async(flight.spec, flight.ctx, flight.arguments))
        flight.end = asyncio.get_running_loop().create_future()
        working.add_done_callback(flight.take_over)
        try:
            result = _result(flight, await flight.work_ended())
        finally:
            working.cancel()
        if not flight.unit.finish():
            raise flight.timed_out()
        return result, flight.record(result)

    def _at_work(self, flight: Flight, news: Inbox) -> Ended | Future[Ended]:
        """In one thread from the first look at the store to the commit: a transaction never changes hands."""
        try:
            before = self._known(flight)
            if before is not None:
                return before, None
            result = _result(flight, guarded(flight.spec, flight.ctx, flight.arguments))
            if flight.spec.effect:
                committed = flight.unit.commit(flight.record(result), spoken_later=flight.spoken_later(result))
                news.post(flight.seat.leave)  # not only once it is committed: the next ones share the commit
                return _then(committed, (result, None))
            if not flight.unit.finish():
                raise flight.timed_out()
            return result, flight.record(result)
        except BaseException:  # whatever it was: nothing of it stays
            flight.unit.undo()
            raise

    def _known(self, flight: Flight) -> FunctionResult | None:
        found = known(self._store, flight.call.id, flight.spec, flight.call)
        if found is not None and isinstance(found.error, StillWorking) and flight.row is not None:
            return None  # it is this one that works
        return found

    # -- the store ------------------------------------------------------------------------------------------------
    async def _recorded(self, flight: Flight, result: FunctionResult, record: RecordedCall) -> FunctionResult:
        """The result that counts: the first one that was recorded."""
        try:
            first = await self._workshop.submit(
                keep(record, spoken_later=flight.spoken_later(result)), urgent=flight.urgent
            )
        except StoreFailed as failure:
            _log.error("%s: its end was not recorded: %s", flight.spec.name, failure)
            # Without a record an effect may run again, so it is no success yet. The others learn what came of it.
            return failed(record.id, failure) if flight.spec.effect and result.error is None else result
        if first:
            return result
        return await self._workshop.run(lambda: known(self._store, record.id)) or result

    async def _kept(self, change: Callable[[Writing], bool]) -> bool:
        try:
            return await self._workshop.submit(change)
        except StoreFailed as failure:
            _log.error("a late result was not recorded: %s", failure)
            return False


def _then(committed: Future[None], ended: Ended) -> Future[Ended]:
    """Its end, once it is committed."""
    end: Future[Ended] = Future()

    def tell(future: Future[None]) -> None:
        failure = future.exception()
        if failure is not None:
            end.set_exception(failure)
        else:
            end.set_result(ended)

    committed.add_done_callback(tell)
    return end


def _result(flight: Flight, answer: Any) -> FunctionResult:
    outcome = outcome_of(flight.spec, answer)
    return FunctionResult(flight.call.id, value=outcome.value, sentence=outcome.sentence)


def _delivered(id: str) -> Callable[[Writing], bool]:
    return lambda store: store.mark_delivered(id)
