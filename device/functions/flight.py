"""One call on its way through the runner: what it needs, how far it is, and what its callers are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC
from enum import Enum
from typing import Any

from device.functions.context import Context
from device.functions.contract import FunctionCall, FunctionResult, FunctionTimedOut, StillWorking
from device.functions.places import Seat
from device.functions.records import failed, record_of
from device.functions.registry import FunctionSpec
from device.functions.store import RecordedCall, Writing
from device.functions.threads import Job, settle
from device.functions.unit import Unit

SPOKEN_ORIGINS = frozenset({"voice"})
"""From there a result has to be heard by somebody in the room: it waits in the store until it was."""
URGENT_ORIGINS = frozenset({"voice", "text", "staff"})
"""Somebody waits in the room: they go before a thousand phone calls."""


class Phase(Enum):
    """How far it is. What its callers were told is another thing: see `Flight.answer`."""

    WAITING = "for earlier effects of its session, or a seat"
    AT_WORK = "its function runs, or waits for a thread"
    OVER = "it has a result"


class Flight:
    """Used in the loop alone."""

    def __init__(
        self,
        call: FunctionCall,
        spec: FunctionSpec,
        arguments: Mapping[str, Any],
        unit: Unit,
        ctx: Context,
        seat: Seat,
        budget_s: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.call = call
        self.spec = spec
        self.arguments = arguments
        """Checked, by parameter name."""
        self.unit = unit
        self.ctx = ctx
        self.seat = seat
        self.budget_s = budget_s
        self.phase = Phase.WAITING
        self.began = 0.0
        self.answer: asyncio.Future[FunctionResult] = loop.create_future()
        """What all its callers are told: its result, or that it still works."""
        self.turn_over: asyncio.Future[None] = loop.create_future()
        """The session's later calls may begin."""
        self.parking: asyncio.Future[Any] | None = None
        """The record of "still working", under way or done: from then on its end is told late."""
        self.row: RecordedCall | None = None
        """What is recorded of it while it runs. A row of somebody else is of a run before, which `resume` repeats."""
        self.job: Job[Any] | None = None
        """What a thread carries out."""
        self.end: asyncio.Future[Any] | None = None
        """Of its function; cancelled when it is given up."""
        self.task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def urgent(self) -> bool:
        return self.call.origin in URGENT_ORIGINS

    @property
    def told_later(self) -> bool:
        """Its callers were told that it still works."""
        return self.answer.done() and isinstance(self.answer.result().error, StillWorking)

    def spoken_later(self, result: FunctionResult) -> bool:
        """Its sentence waits in the store until somebody has heard it: of an effect, and of what comes late."""
        done = self.spec.effect and result.error is None
        return self.call.origin in SPOKEN_ORIGINS and (done or self.parking is not None)

    def tell(self, result: FunctionResult) -> None:
        """The first answer counts."""
        if not self.answer.done():
            self.answer.set_result(result)

    def still_working(self) -> None:
        """That it goes on; its result comes late."""
        self.tell(failed(self.call.id, StillWorking(self.call.id)))

    def record(self, result: FunctionResult) -> RecordedCall:
        return record_of(self.call, self.spec.name, result, self.ctx.clock().astimezone(UTC))

    def running(self, store: Writing) -> bool:
        """The change that records that it runs; False when it has ended meanwhile."""
        before = store.function_call(self.call.id)
        if before is None:
            self.row = self.record(failed(self.call.id, StillWorking(self.call.id)))
            store.record_function_call(self.row)
        return before is None or before.state == "running"

    def begin(self) -> None:
        self.phase = Phase.AT_WORK
        self.began = asyncio.get_running_loop().time()

    def alarm(self, after_s: float, what: Callable[[Flight], None]) -> None:
        """In place of the one before."""
        self.quiet()
        self._timer = asyncio.get_running_loop().call_later(after_s, what, self)

    def quiet(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end_turn(self) -> None:
        if not self.turn_over.done():
            self.turn_over.set_result(None)

    # -- its function ---------------------------------------------------------------------------------------------
    async def work_ended(self) -> Any:
        """What its function returned; raises what it raised, or `FunctionTimedOut` once it was given up."""
        if self.end is None:
            raise RuntimeError("it has not begun")
        try:
            return await self.end
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():  # the program ends
                raise
            raise self.timed_out() from None

    def take_over(self, task: asyncio.Task[Any]) -> None:
        """The end of an async function."""
        if self.end is not None and not task.cancelled():
            failure = task.exception()
            settle(self.end, None if failure else task.result(), failure)

    def timed_out(self) -> FunctionTimedOut:
        return FunctionTimedOut(f"{self.spec.name} was given up")
