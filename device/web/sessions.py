"""Calls of Vapi that live now: owns what is kept of them in memory, how many, and for how long.

The store has their rows and events; here is only what must not be stored (the control URL) and what is worth nothing
after a restart (who is speaking). Nothing here grows without a bound.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from device.web.interrupt import Floor

MOST = 10_000
"""Live calls; beyond, the one that has been quiet longest is forgotten. Its row stays, its next event revives it."""
GRACE = timedelta(seconds=60)
"""A call past its longest that has been quiet for so long is over."""
_SWEEP = timedelta(seconds=5)


class Phase(Enum):
    """How far a call is, as far as this memory goes."""

    LIVE = "live"
    ENDED = "ended"
    """Ended by its status; its report may still come."""


@dataclass(slots=True)
class LiveSession:
    """One call."""

    id: str
    """As Vapi names it."""
    started: datetime
    seen: datetime
    """Its last event."""
    phase: Phase = Phase.LIVE
    control_url: str = field(default="", repr=False)
    floor: Floor = field(default_factory=Floor)
    reason: str = ""
    """Why it ended, while its report has not come."""

    @property
    def key(self) -> str:
        """In the store, and for the runner's order."""
        return session_key(self.id)


def session_key(call: str) -> str:
    """How the rest of the house names a call of Vapi's."""
    return f"vapi:{call}" if call else ""


def call_of(key: str) -> str:
    """The call behind a session's name; "" for other sessions."""
    return key.removeprefix("vapi:") if key.startswith("vapi:") else ""


class Sessions:
    """All of them; used from one loop. All times are given."""

    def __init__(self, *, ttl_s: float = 3600, longest_s: float = 600, most: int = MOST) -> None:
        self._ttl = timedelta(seconds=ttl_s)
        self._longest = timedelta(seconds=longest_s)
        self._most = most
        self._live: OrderedDict[str, LiveSession] = OrderedDict()  # the quietest first
        self._swept: datetime | None = None

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(self._live.values())

    @property
    def active(self) -> int:
        """Calls that have not ended."""
        return sum(session.phase is Phase.LIVE for session in self._live.values())

    def get(self, call: str) -> LiveSession | None:
        return self._live.get(call)

    def touch(self, call: str, now: datetime) -> LiveSession:
        """The session of an event that has just come; begun if it is new."""
        session = self._live.get(call)
        if session is None:
            while len(self._live) >= self._most:
                self._live.popitem(last=False)
            session = self._live[call] = LiveSession(call, now, now)
        else:
            session.seen = max(session.seen, now)
            self._live.move_to_end(call)
        return session

    def forget(self, call: str) -> LiveSession | None:
        """Its report has come: everything kept of it here is gone."""
        return self._live.pop(call, None)

    def expired(self, now: datetime) -> list[LiveSession]:
        """Those that are over without a report; they are forgotten. Looks at most every few seconds."""
        if self._swept is not None and timedelta() <= now - self._swept < _SWEEP:
            return []
        self._swept = now
        over = [session for session in self._live.values() if self._is_over(session, now)]
        for session in over:
            del self._live[session.id]
        return over

    def _is_over(self, session: LiveSession, now: datetime) -> bool:
        quiet = now - session.seen
        return quiet >= self._ttl or (quiet >= GRACE and now - session.started >= self._longest + GRACE)
