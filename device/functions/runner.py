"""Runs function calls: checked, once per id, in order, within their budget, recorded before they are answered.

A call over its budget is recorded as running, answered `StillWorking`, leaves its place and its session's queue to
others and goes on. Its end is recorded and comes out of `late()`; a crash in between is made good by `resume()`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from device.functions.context import Context, FunctionStore
from device.functions.contract import (
    FunctionCall,
    FunctionError,
    FunctionResult,
    FunctionTimedOut,
    IdReused,
    LateResult,
    Refused,
    StillWorking,
    StoreFailed,
)
from device.functions.hours import BookSettings
from device.functions.outcomes import guarded, guarded_async, outcome_of
from device.functions.places import FROM_OUTSIDE, IN_THE_ROOM, Places, Seat
from device.functions.records import State, accepted, call_of, failed, known, record_of, same_call
from device.functions.registry import FunctionSpec, Registry
from device.functions.store import RecordedCall, Store
from device.functions.threads import Threads
from device.functions.unit import RecordedElsewhere, Unit

ContextFactory = Callable[[FunctionCall, FunctionStore], Context]
"""Makes the context of one call; the store in it is the one passed in."""

SPOKEN_ORIGINS = frozenset({"voice"})
"""From there a result has to be heard by somebody in the room: it waits in the store until it was."""
URGENT_ORIGINS = frozenset({"voice", "text", "staff"})
"""Somebody waits in the room: they go before a thousand phone calls."""
LIMIT_S = 120.0
"""A call that still works after so long is given up."""
_log = logging.getLogger("wakeline.functions")

Task = asyncio.Task[FunctionResult]


@dataclass(frozen=True, slots=True)
class _Run:
    """A function at work."""

    call: FunctionCall
    spec: FunctionSpec
    arguments: Mapping[str, Any]
    """Checked, by parameter name."""
    ctx: Context
    unit: Unit
    seat: Seat

    @property
    def urgent(self) -> bool:
        return self.call.origin in URGENT_ORIGINS

    def record(self, state: State, **more: Any) -> RecordedCall:
        return record_of(self.call, self.spec.name, state, self.ctx.clock().astimezone(UTC), **more)


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
        self._in_flight: dict[str, tuple[FunctionCall, Task]] = {}
        self._last_effect: dict[str, Task] = {}
        self._parked: dict[str, asyncio.Task[None]] = {}
        self._late: asyncio.Queue[LateResult] = asyncio.Queue()
        self._places = Places()
        self._threads = {True: Threads("wakeline-room", IN_THE_ROOM), False: Threads("wakeline-outside", FROM_OUTSIDE)}
        """By urgency: what hangs outside leaves the room its threads."""

    # -- the door -------------------------------------------------------------------------------------------------
    async def run(self, call: FunctionCall, *, budget_s: float | None = None) -> FunctionResult:
        """The result, never an exception. Going on although the caller is cancelled: an effect is never half told."""
        try:
            spec = accepted(self._registry, call)
            flying = self._in_flight.get(call.id)
            if flying is not None:
                same_call(spec, call, flying[0].arguments)
            elif call.id in self._parked:
                return failed(call.id, StillWorking(call.id))
            else:
                budget = spec.budget_s if budget_s is None else min(budget_s, spec.budget_s)
                flying = (call, self._start(self._prepared(call, spec), budget))
        except FunctionError as error:
            return failed(call.id, error)
        return await asyncio.shield(flying[1])

    async def look_up(self, id: str) -> FunctionResult | None:
        """What is recorded of a call, or that it still works; None for one that nobody knows."""
        if id in self._in_flight or id in self._parked:
            return failed(id, StillWorking(id))
        try:
            return await self._threads[True].run(lambda: known(self._store, id))
        except StoreFailed as error:
            return failed(id, error)

    async def late(self) -> AsyncIterator[LateResult]:
        """The results of calls that were answered "still working"; for one consumer."""
        while True:
            yield await self._late.get()

    async def resume(self) -> None:
        """After a start: run again what was running, and tell what ended and was not told."""

        def waiting() -> tuple[list[RecordedCall], list[RecordedCall]]:
            with self._store.reading() as store:
                return store.running_calls(), store.undelivered()

        try:
            running, ended = await self._threads[True].run(waiting)
        except StoreFailed as error:
            _log.error("late results cannot be read: %s", error.code)
            return
        for record in ended:
            if (result := await self.look_up(record.id)) is not None:
                self._late.put_nowait(LateResult(call_of(record), result))
        for record in running:
            call = call_of(record)
            try:
                run = self._prepared(call, self._registry.get(call.name))
            except FunctionError as error:
                # The function is gone, or takes other arguments since: whoever asked is told.
                gone = record_of(call, call.name, "failed", record.created, error_code=error.code)
                await self._record(gone)
                self._late.put_nowait(LateResult(call, failed(call.id, error)))
                continue
            self._see_through(run, asyncio.create_task(self._work(run, None)))

    async def drain(self) -> None:
        """Wait for what runs, before the store is closed; what is parked is resumed after the next start."""
        while self._in_flight:
            await asyncio.wait([task for _, task in self._in_flight.values()])
        parked = list(self._parked.values())
        for task in parked:
            task.cancel()
        await asyncio.gather(*parked, return_exceptions=True)

    # -- order ----------------------------------------------------------------------------------------------------
    def _prepared(self, call: FunctionCall, spec: FunctionSpec) -> _Run:
        arguments = spec.check(call.arguments)
        urgent = call.origin in URGENT_ORIGINS
        unit = Unit(self._store, effect=spec.effect, blocking_allowed=not spec.is_async, urgent=urgent)
        return _Run(call, spec, arguments, self._context(call, unit), unit, self._places.seat(spec, urgent=urgent))

    def _start(self, run: _Run, budget_s: float) -> Task:
        # Effects of one session queue up; a read waits for the effects before it, and nothing waits for a read.
        call = run.call
        before = self._last_effect.get(call.session) if call.session else None
        task = asyncio.create_task(self._within(run, before, budget_s), name=f"wakeline-function-{run.spec.name}")
        self._in_flight[call.id] = (call, task)
        if run.spec.effect and call.session:
            self._last_effect[call.session] = task
        task.add_done_callback(lambda done: self._ended(call, done))
        return task

    def _ended(self, call: FunctionCall, task: Task) -> None:
        self._in_flight.pop(call.id, None)
        if self._last_effect.get(call.session) is task:
            del self._last_effect[call.session]

    # -- one call -------------------------------------------------------------------------------------------------
    async def _within(self, run: _Run, before: Task | None, budget_s: float) -> FunctionResult:
        """Its result, or `StillWorking` after the budget; its seat and its session's turn are free then."""
        try:
            working = asyncio.create_task(self._work(run, before))
            done, _ = await asyncio.wait([working], timeout=budget_s)
            if not done:
                # Recorded before it is answered: from now on a crash does not lose it.
                await self._submit(run.record("running"), urgent=run.urgent)
                if not working.done():
                    self._see_through(run, working)
                    return failed(run.call.id, StillWorking(run.call.id))
            return await working
        except FunctionError as error:
            if isinstance(error, StoreFailed):
                _log.error("%s: %s", run.spec.name, error)
            return failed(run.call.id, error)

    def _see_through(self, run: _Run, working: Task) -> None:
        run.seat.leave()
        id = run.call.id
        self._parked[id] = asyncio.create_task(self._parked_run(run, working))
        self._parked[id].add_done_callback(lambda _: self._parked.pop(id, None))

    async def _parked_run(self, run: _Run, working: Task) -> None:
        """To its end or to the limit; then it is told as a late result."""
        threads = self._threads[run.urgent]
        if not run.spec.is_async:
            threads.slow()
        try:
            result = await self._end_of(run, working)
        except FunctionError as error:
            result = failed(run.call.id, error)
        finally:
            if not run.spec.is_async:
                threads.fast()
        self._parked.pop(run.call.id, None)
        self._late.put_nowait(LateResult(run.call, result))

    async def _end_of(self, run: _Run, working: Task) -> FunctionResult:
        try:
            done, _ = await asyncio.wait([working], timeout=self._limit_s)
        except asyncio.CancelledError:
            # The program ends: undone unless it is being committed now; it is recorded as running, and runs again.
            if run.unit.abandon():
                working.cancel()
            else:
                await working
            raise
        if done or not run.unit.abandon():
            return await working
        working.cancel()
        error = FunctionTimedOut(f"{run.spec.name} took longer than {self._limit_s} s")
        await self._record_failure(run, error)
        return failed(run.call.id, error)

    async def _work(self, run: _Run, before: Task | None) -> FunctionResult:
        """Wait for its turn; then the function, the commit of what it did, or the record of how it failed."""
        if before is not None:
            await asyncio.wait([before])
        await run.seat.take()
        try:
            recorded = await self._threads[run.urgent].run(lambda: known(self._store, run.call.id, run.spec, run.call))
            if recorded is not None and not isinstance(recorded.error, StillWorking):
                return recorded
            return await self._function(run)
        except (StoreFailed, IdReused):
            raise  # it could not be recorded either, or the record is another call's
        except RecordedElsewhere:
            found = await self._threads[run.urgent].run(lambda: known(self._store, run.call.id))
            return found or failed(run.call.id, FunctionError())
        except FunctionError as error:
            await self._record_failure(run, error)
            return failed(run.call.id, error)
        finally:
            run.seat.leave()

    async def _function(self, run: _Run) -> FunctionResult:
        threads = self._threads[run.urgent]
        if run.spec.is_async:
            answer = await guarded_async(run.spec, run.ctx, run.arguments)
            return await threads.run(lambda: _finish(run, answer))

        def in_thread() -> FunctionResult:
            # One thread from the first look at the store to the commit: a transaction never changes hands.
            try:
                return _finish(run, guarded(run.spec, run.ctx, run.arguments))
            except BaseException:
                run.unit.undo()
                raise

        return await threads.run(in_thread)

    async def _record_failure(self, run: _Run, error: FunctionError) -> None:
        state: State = "refused" if isinstance(error, Refused) else "failed"
        await self._record(run.record(state, error_code=error.code, sentence=error.sentence))

    async def _record(self, record: RecordedCall) -> None:
        try:
            await self._submit(record)
        except StoreFailed as failure:
            # Nothing was changed, so the same call may run again; the caller learns why it failed the first time.
            _log.error("%s: its failure was not recorded: %s", record.name, failure)

    async def _submit(self, record: RecordedCall, *, urgent: bool = False) -> None:
        await asyncio.wrap_future(self._store.submit(lambda store: store.record_function_call(record), urgent=urgent))


def _finish(run: _Run, answer: Any) -> FunctionResult:
    outcome = outcome_of(run.spec, answer)
    spoken_later = run.spec.effect and run.call.origin in SPOKEN_ORIGINS
    run.unit.commit(run.record("done", value=outcome.value, sentence=outcome.sentence), spoken_later=spoken_later)
    return FunctionResult(run.call.id, value=outcome.value, sentence=outcome.sentence)
