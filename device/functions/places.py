"""Who may run now: a function's own limit, and seats that one slow function from outside leaves to the others."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from device.functions.registry import FunctionSpec

_OF_ONE: Final = 12
"""From outside, of one function that names no limit of its own."""


class Limit:
    """So many at a time; who is urgent goes before the others."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    async def take(self, *, urgent: bool) -> None:
        """Wait for a place."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._others).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was given one just now
                self.give_back()
            raise

    def give_back(self) -> None:
        """The next one that still waits has it."""
        while line := self._urgent or self._others:
            turn = line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Seat:
    """Of one call. One of a function that limits itself is kept to the end, the others as long as it is no slow one."""

    def __init__(self, limit: Limit | None, *, urgent: bool, kept: bool) -> None:
        self._limit = limit
        self._urgent = urgent
        self._kept = kept
        self._held: Limit | None = None

    async def take(self) -> None:
        """Wait for it."""
        if self._limit is not None:
            await self._limit.take(urgent=self._urgent)
            self._held = self._limit

    def lend(self) -> None:
        """Its call is slow."""
        if not self._kept:
            self.leave()

    def leave(self) -> None:
        """Again it changes nothing."""
        if self._held is not None:
            self._held.give_back()
            self._held = None


class Places:
    """The limits by function."""

    def __init__(self) -> None:
        self._limits: dict[str, Limit] = {}

    def seat(self, spec: FunctionSpec, *, urgent: bool) -> Seat:
        """Not taken yet."""
        if spec.at_once == 0 and (urgent or spec.is_async):  # what awaits needs no thread meanwhile
            return Seat(None, urgent=urgent, kept=False)
        limit = self._limits.get(spec.name)
        if limit is None:
            limit = self._limits[spec.name] = Limit(spec.at_once or _OF_ONE)
        return Seat(limit, urgent=urgent, kept=spec.at_once > 0)
