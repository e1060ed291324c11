"""What the tests of calls stand on: time that passes only when somebody waits for it, and a store in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from device.calls.attempts import Attempt
from device.calls.watch import Clock
from device.functions.contract import StoreFailed


async def others_first() -> None:
    """Let every task that is ready run once; waits for no time."""
    loop = asyncio.get_running_loop()
    turn: asyncio.Future[None] = loop.create_future()
    loop.call_soon(turn.set_result, None)
    await turn


class Hours:
    """Virtual time: waiting takes no time at all, and the clocks show that it did."""

    def __init__(self, wall: float = 1_764_000_000.0) -> None:
        self.waited: list[float] = []
        self._wall = wall

    @property
    def elapsed(self) -> float:
        return sum(self.waited)

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        await others_first()

    def clock(self) -> Clock:
        return Clock(now=lambda: self._wall + self.elapsed, steady=lambda: self.elapsed, sleep=self.sleep)


class MemoryStore:
    """Keeps attempts in memory; fails on order."""

    def __init__(self) -> None:
        self.attempts: dict[str, Attempt] = {}
        self.failing = False

    def record_call(self, attempt: Attempt) -> None:
        self._check()
        self.attempts[attempt.id] = attempt

    def mark_call_placed(self, call: str, vendor_id: str) -> None:
        self._check()
        self.attempts[call] = replace(self.attempts[call], vendor_id=vendor_id)

    def mark_call_ended(self, call: str, cause: str, code: str, detail: str, answered: bool, at: float) -> None:
        self._check()
        self.attempts[call] = replace(
            self.attempts[call], cause=cause, code=code, detail=detail, answered=answered, ended_at=at
        )

    def open_calls(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts.values() if not attempt.cause]

    def count_calls_since(self, at: float) -> int:
        self._check()
        return sum(attempt.at >= at for attempt in self.attempts.values())

    def _check(self) -> None:
        if self.failing:
            raise StoreFailed("full as ordered")
