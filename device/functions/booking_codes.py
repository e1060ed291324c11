"""The short code of a booking, and the limit on guessing it.

Who stands at the device or calls is a stranger: a booking is changed or cancelled only for whoever knows its day and
its code, which was said when it was made. Staff need none. The code follows from when and by which call the booking
was made, to the microsecond, so it needs no place of its own and stays the same when the booking is moved.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from device.functions.contract import Origin, Refused
from device.functions.store import Appointment

DIGITS: Final = 4
MOST_WRONG: Final = 5
WINDOW: Final = timedelta(minutes=10)


def code_for(created: datetime, call_id: str) -> str:
    """Four digits."""
    made = f"{created.astimezone(UTC).isoformat(timespec='microseconds')} {call_id}"
    number = int.from_bytes(hashlib.sha256(made.encode("utf-8", "replace")).digest()[:8])
    return f"{number % 10**DIGITS:0{DIGITS}}"


def code_of(one: Appointment) -> str:
    return code_for(one.created, one.call_id)


def spoken(code: str) -> str:
    """Digit by digit, as one reads a code out."""
    return " ".join(code)


def same(given: str, code: str) -> bool:
    """In a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), code.encode())


@dataclass(slots=True)
class Guesses:
    """Wrong codes of the last minutes, by where they came from; one for the app, used from any thread.

    A restart forgets them: five more guesses of ten thousand.
    """

    _wrong: dict[Origin, deque[datetime]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, origin: Origin, now: datetime) -> None:
        """Counts as wrong until `right` says otherwise, so that guesses at the same time count too.

        Raises:
            Refused "code-locked": there were too many.
        """
        with self._lock:
            wrong = self._wrong.setdefault(origin, deque())
            while wrong and not timedelta() <= now - wrong[0] < WINDOW:
                wrong.popleft()
            if len(wrong) >= MOST_WRONG:
                raise Refused("code-locked", "There were too many wrong codes. Please try again in 10 minutes.")
            wrong.append(now)

    def right(self, origin: Origin, now: datetime) -> None:
        """The guess that began then was none."""
        with self._lock:
            self._wrong[origin].remove(now)
