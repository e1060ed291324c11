"""Runs function calls: checked, once per id, in order, within their time, recorded before they are answered."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, TypeVar

from device.functions.context import Context, FunctionStore, Outcome
from device.functions.contract import (
    BadArguments,
    FunctionCall,
    FunctionError,
    FunctionResult,
    FunctionTimedOut,
    Problem,
    Refused,
    StoreFailed,
    WrongOrigin,
)
from device.functions.hours import BookSettings
from device.functions.problems import shown
from device.functions.registry import FunctionSpec, Registry
from device.functions.store import RecordedCall, Store
from device.functions.unit import Abandoned, RecordedElsewhere, Unit

T = TypeVar("T")
ContextFactory = Callable[[FunctionCall, FunctionStore], Context]
"""Makes the context of one call; the store in it is the one passed in."""

LONGEST_KEY = 200
SPOKEN_ORIGINS = frozenset({"voice"})
"""From there a result has to be heard by somebody in the room: it waits in the store until it was."""
_MOST_AT_ONCE = 16
_log = logging.getLogger("wakeline.functions")


def context_factory(clock: Callable[[], datetime], timezone: tzinfo, book: BookSettings) -> ContextFactory:
    """The usual contexts: one house, one clock, one book."""

    def make(call: FunctionCall, store: FunctionStore) -> Context:
        return Context(store, call.id, call.session, call.origin, clock, timezone, book)

    return make


class Runner:
    """One for the whole app, used from its loop."""

    def __init__(self, registry: Registry, store: Store, context_factory: ContextFactory) -> None:
        self._registry = registry
        self._store = store
        self._context = context_factory
        self._in_flight: dict[str, asyncio.Task[FunctionResult]] = {}
        self._last_effect: dict[str, asyncio.Task[FunctionResult]] = {}
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)

    async def run(self, call: FunctionCall) -> FunctionResult:
        """The result, never an exception. Going on although the caller is cancelled: an effect is never half told."""
        task = self._in_flight.get(call.id)
        if task is None:
            try:
                _check_key("id", call.id)
                _check_key("session", call.session or "-")
                spec = self._accepted(call)
            except FunctionError as error:
                return _failed(call.id, error)
            task = self._start(call, spec)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait for what runs, before the store is closed."""
        while self._in_flight:
            await asyncio.wait(self._in_flight.values())

    def _accepted(self, call: FunctionCall) -> FunctionSpec:
        spec = self._registry.get(call.name)
        if call.origin not in spec.origins:
            raise WrongOrigin(f"{spec.name} may not be called from {call.origin}")
        return spec

    def _start(self, call: FunctionCall, spec: FunctionSpec) -> asyncio.Task[FunctionResult]:
        # Effects of one session queue up; a read waits for the effects before it, and nothing waits for a read.
        before = self._last_effect.get(call.session) if call.session else None
        task = asyncio.create_task(self._once(call, spec, before), name=f"wakeline-function-{spec.name}")
        self._in_flight[call.id] = task
        if spec.effect and call.session:
            self._last_effect[call.session] = task
        task.add_done_callback(lambda done: self._ended(call, done))
        return task

    def _ended(self, call: FunctionCall, task: asyncio.Task[FunctionResult]) -> None:
        self._in_flight.pop(call.id, None)
        if self._last_effect.get(call.session) is task:
            del self._last_effect[call.session]

    async def _once(
        self, call: FunctionCall, spec: FunctionSpec, before: asyncio.Task[FunctionResult] | None
    ) -> FunctionResult:
        if before is not None:
            await asyncio.wait([before])
        try:
            known = await _in_thread(lambda: self._known(call.id))
            if known is not None:
                return known
            arguments = spec.check(call.arguments)
            async with self._places:
                return await self._run(call, spec, arguments)
        except FunctionError as error:
            if isinstance(error, StoreFailed):
                _log.error("%s: %s", spec.name, error)
            return _failed(call.id, error)

    def _known(self, id: str) -> FunctionResult | None:
        with self._store.reading() as store:
            record = store.function_call(id)
        return None if record is None else _replayed(record)

    async def _run(self, call: FunctionCall, spec: FunctionSpec, arguments: Mapping[str, Any]) -> FunctionResult:
        unit = Unit(self._store, effect=spec.effect, blocking_allowed=not spec.is_async)
        ctx = self._context(call, unit)
        working = asyncio.ensure_future(self._work(call, spec, arguments, ctx, unit))
        try:
            done, _ = await asyncio.wait([working], timeout=spec.budget_s)
            if not done and unit.abandon():
                if spec.is_async:
                    working.cancel()
                working.add_done_callback(_forgotten)
                raise FunctionTimedOut(f"{spec.name} took longer than {spec.budget_s} s")
            return await working
        except StoreFailed:
            raise  # it could not be recorded either
        except RecordedElsewhere:
            return await _in_thread(lambda: self._known(call.id)) or _failed(call.id, FunctionError())
        except FunctionError as error:
            failure = error
        await _in_thread(lambda: self._record_failure(call, spec, ctx, failure))
        return _failed(call.id, failure)

    async def _work(
        self, call: FunctionCall, spec: FunctionSpec, arguments: Mapping[str, Any], ctx: Context, unit: Unit
    ) -> FunctionResult:
        """The function itself, and the commit of what it did."""
        if spec.is_async:
            answer = await _guarded_async(spec, ctx, arguments)
            return await _in_thread(lambda: self._finish(call, spec, ctx, unit, answer))

        def in_thread() -> FunctionResult:
            # One thread from the first look at the store to the commit, so that a transaction never changes hands.
            try:
                return self._finish(call, spec, ctx, unit, _guarded(spec, ctx, arguments))
            except BaseException:
                unit.undo()
                raise

        return await _in_thread(in_thread)

    def _finish(self, call: FunctionCall, spec: FunctionSpec, ctx: Context, unit: Unit, answer: Any) -> FunctionResult:
        outcome = _outcome(spec, answer)
        record = RecordedCall(
            id=call.id,
            name=spec.name,
            arguments=call.arguments,
            origin=call.origin,
            session=call.session,
            state="done",
            value=outcome.value,
            error_code="",
            sentence=outcome.sentence,
            created=ctx.clock().astimezone(UTC),
        )
        unit.commit(record, spoken_later=spec.effect and call.origin in SPOKEN_ORIGINS)
        return FunctionResult(call.id, value=outcome.value, sentence=outcome.sentence)

    def _record_failure(self, call: FunctionCall, spec: FunctionSpec, ctx: Context, error: FunctionError) -> None:
        record = RecordedCall(
            id=call.id,
            name=spec.name,
            arguments=call.arguments,
            origin=call.origin,
            session=call.session,
            state="refused" if isinstance(error, Refused) else "failed",
            value=None,
            error_code=error.code,
            sentence=error.sentence,
            created=ctx.clock().astimezone(UTC),
        )
        try:
            with self._store.transaction() as store:
                if store.function_call(call.id) is None:
                    store.record_function_call(record)
        except StoreFailed as failure:
            # Nothing was changed, so the same call may run again; the caller learns why it failed the first time.
            _log.error("%s: its failure was not recorded: %s", spec.name, failure)


def _check_key(field: str, key: str) -> None:
    """An id comes from outside: it must fit the store."""
    if not key or len(key) > LONGEST_KEY or not key.isprintable():
        raise BadArguments((Problem(field, f"1 to {LONGEST_KEY} printable characters", shown(key)),))


def _guarded(spec: FunctionSpec, ctx: Context, arguments: Mapping[str, Any]) -> Any:
    try:
        answer = spec.handler(ctx, arguments)
    except FunctionError:
        raise
    except BaseException as error:  # also SystemExit: it would end the loop
        raise _own_failure(spec, error) from error
    if inspect.isawaitable(answer):
        raise FunctionError(f"{spec.name} is not declared async and returns something to await")
    return answer


async def _guarded_async(spec: FunctionSpec, ctx: Context, arguments: Mapping[str, Any]) -> Any:
    try:
        return await spec.handler(ctx, arguments)
    except FunctionError:
        raise
    except (Exception, SystemExit) as error:
        raise _own_failure(spec, error) from error


def _own_failure(spec: FunctionSpec, error: BaseException) -> FunctionError:
    # Its text may hold what people said, so only its type is told.
    _log.warning("%s raised %s", spec.name, type(error).__name__)
    return FunctionError(type(error).__name__)


def _outcome(spec: FunctionSpec, answer: Any) -> Outcome:
    """Whatever an author may return: an Outcome, a JSON object, a sentence, or nothing."""
    if answer is None:
        outcome = Outcome({})
    elif isinstance(answer, str):
        outcome = Outcome({"sentence": answer}, answer)
    elif isinstance(answer, Mapping):
        outcome = Outcome(answer)
    elif isinstance(answer, Outcome):
        outcome = answer
    else:
        raise FunctionError(f"{spec.name} returned {type(answer).__name__}, not an Outcome, a mapping or a sentence")
    try:
        # What is answered now is what is answered again later: the same JSON.
        value = json.loads(json.dumps(dict(outcome.value), allow_nan=False))
        outcome.sentence.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FunctionError(f"{spec.name} returned what is no JSON: {type(error).__name__}") from error
    return Outcome(value, outcome.sentence)


def _replayed(record: RecordedCall) -> FunctionResult:
    if not record.error_code:
        return FunctionResult(record.id, value=record.value, sentence=record.sentence, replayed=True)
    error = _error(record.error_code, record.sentence)
    return FunctionResult(record.id, error=error, sentence=record.sentence, replayed=True)


def _error(code: str, sentence: str) -> FunctionError:
    """An error of the same type as the first time."""
    if code == FunctionTimedOut.code:
        return FunctionTimedOut(sentence=sentence)
    if code == FunctionError.code:
        return FunctionError(sentence=sentence)
    return Refused(code, sentence)


def _failed(id: str, error: FunctionError) -> FunctionResult:
    return FunctionResult(id, error=error, sentence=error.sentence)


def _forgotten(task: asyncio.Future[Any]) -> None:
    """The end of a run that nobody waits for any more."""
    if not task.cancelled() and not isinstance(task.exception(), Abandoned | None):
        _log.warning("a function failed after its time was over: %s", type(task.exception()).__name__)


async def _in_thread(work: Callable[[], T]) -> T:
    """Like `asyncio.to_thread`, in a daemon thread: a function that hangs must not keep the program from ending."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if answer.cancelled():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value: T | None = None
        failure: BaseException | None = None
        try:
            value = work()
        except BaseException as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, name="wakeline-function", daemon=True).start()
    return await answer
