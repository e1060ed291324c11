"""Who may run now: seats for those who wait in the room, others for phone calls, and a function's own limit."""

from __future__ import annotations

import asyncio
from typing import Final

from device.functions.registry import FunctionSpec

IN_THE_ROOM: Final = 16
FROM_OUTSIDE: Final = 32
_OF_ONE = 16
"""From outside, of one function: a slow one leaves seats to the others."""


class Seat:
    """Of one call; all that it needs, or nothing."""

    def __init__(self, limits: tuple[asyncio.Semaphore, ...]) -> None:
        self._limits = limits
        self._held: list[asyncio.Semaphore] = []

    async def take(self) -> None:
        """Wait for it."""
        for limit in self._limits:
            await limit.acquire()
            self._held.append(limit)

    def leave(self) -> None:
        """Again it changes nothing."""
        while self._held:
            self._held.pop().release()


class Places:
    """A thousand calls never make the voice wait for a seat. A call that goes on after its budget has left its seat."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(IN_THE_ROOM)
        self._outside = asyncio.Semaphore(FROM_OUTSIDE)
        self._own: dict[str, asyncio.Semaphore] = {}

    def seat(self, spec: FunctionSpec, *, urgent: bool) -> Seat:
        """Not taken yet."""
        if urgent and not spec.at_once:
            return Seat((self._room,))
        own = self._own.setdefault(spec.name, asyncio.Semaphore(spec.at_once or _OF_ONE))
        return Seat((own, self._room if urgent else self._outside))
