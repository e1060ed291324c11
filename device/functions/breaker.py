"""A circuit breaker: a backend that failed often is left alone for a while. Pure: the time comes from outside."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum


class BreakerState(Enum):
    """What the next request may expect."""

    CLOSED = "closed"
    """It is sent."""
    OPEN = "open"
    """It is refused."""
    PROBING = "probing"
    """One is on its way to find out; the others are refused."""


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When it opens, and for how long."""

    failures: int = 5
    """So many in a row ..."""
    window_s: float = 30.0
    """... within so long open it."""
    open_s: float = 20.0
    """Then one request tries whether the backend is back: sooner than the 30 seconds that people are told."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one request; its end is told with it."""

    era: int
    """Whatever was allowed before the state last changed says nothing about the backend now."""


class Breaker:
    """Of one backend. Every permit comes back by exactly one of `succeeded`, `failed` and `given_back`."""

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self._settings = settings or BreakerSettings()
        self._state = BreakerState.CLOSED
        self._era = 0
        self._failures: deque[float] = deque()
        self._opened = 0.0

    @property
    def state(self) -> BreakerState:
        return self._state

    def admit(self, now: float) -> Permit | None:
        """Leave to send a request, or None while the backend is left alone."""
        if self._state is BreakerState.OPEN and now >= self._opened + self._settings.open_s:
            self._become(BreakerState.PROBING)
            return Permit(self._era)
        return Permit(self._era) if self._state is BreakerState.CLOSED else None

    def succeeded(self, permit: Permit) -> None:
        """The backend answered, whatever it said."""
        if permit.era != self._era:
            return
        if self._state is BreakerState.PROBING:
            self._become(BreakerState.CLOSED)
        self._failures.clear()

    def failed(self, permit: Permit, now: float) -> None:
        """It could not be reached, was too slow, or was broken itself."""
        if permit.era != self._era:
            return
        self._failures.append(now)
        while now - self._failures[0] > self._settings.window_s:
            self._failures.popleft()
        if self._state is BreakerState.PROBING or len(self._failures) >= self._settings.failures:
            self._become(BreakerState.OPEN)
            self._opened = now

    def given_back(self, permit: Permit) -> None:
        """Nothing is known: the request was given up before its end. A lost probe must not keep it shut for ever."""
        if permit.era == self._era and self._state is BreakerState.PROBING:
            # As long ago as before: the next request probes.
            self._become(BreakerState.OPEN)

    def _become(self, state: BreakerState) -> None:
        self._state = state
        self._era += 1
        self._failures.clear()
