"""One-time tickets for media streams: a signature at the upgrade has no time in it, a ticket is good once."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

_LIFE = timedelta(seconds=60)
_MOST = 1000


class Tickets:
    """Issued with the TwiML of a call, redeemed by the stream's `start`; in memory only."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._open: OrderedDict[str, tuple[str, datetime]] = OrderedDict()

    def issue(self, call: str) -> str:
        """A ticket for the stream of this call; the oldest one is dropped when there are too many."""
        ticket = secrets.token_urlsafe(24)
        self._open[ticket] = (call, self._clock() + _LIFE)
        while len(self._open) > _MOST:
            self._open.popitem(last=False)
        return ticket

    def redeem(self, ticket: str, call: str) -> bool:
        """True once, in time, for the call it was issued for; an attempt with another call spends it too."""
        issued_for, until = self._open.pop(ticket, ("", self._clock()))
        return bool(issued_for) and issued_for == call and self._clock() < until
