"""Watching one call: what was seen of it, which events that makes, and when its time is over. Pure but for `Clock`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from audio.events import CallDialling, CallEnded, CallLive, CallRinging
from device.calls.link import CallState, CallStatus, Cause, LinkError, LinkRefused

CallEvent = CallDialling | CallRinging | CallLive | CallEnded


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
    """Between two looks at a call that nobody has answered yet."""
    poll_live: float = 4.0
    """Between two looks at a call under way: vendors lock out who asks too often."""
    cool_down: float = 30.0
    """After a vendor said "too many requests"."""
    ring: float = 60.0
    """From the answer to the request until somebody answers the call."""
    longest: float = 600.0
    blind: float = 90.0
    """How long a call is kept in mind although its status cannot be read."""
    find: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    """Waits before each look for an uncertain call; a call may appear late."""
    hang_up: tuple[float, ...] = (0.0, 1.0, 3.0)
    """Waits before each attempt to end a call."""


class Watch:
    """What was seen of one call so far."""

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self._since = self._seen = now
        self._state = CallState.DIALLING
        self._locked_out = False

    @property
    def live(self) -> bool:
        return self._state is CallState.LIVE

    def answered(self, cause: Cause) -> bool:
        """A short call may be answered and over between two looks."""
        return self.live or cause is Cause.COMPLETED

    def saw(self, status: CallStatus | LinkError, now: float, call: str) -> list[CallEvent]:
        """What one look gave: a status, or the error instead of it."""
        self._locked_out = isinstance(status, LinkRefused) and status.status == 429
        if isinstance(status, LinkError):
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

    def pause(self) -> float:
        """How long to wait before the next look."""
        if self._locked_out:
            return self._patience.cool_down
        return self._patience.poll_live if self.live else self._patience.poll

    def blind(self, now: float) -> bool:
        return now - self._seen >= self._patience.blind
