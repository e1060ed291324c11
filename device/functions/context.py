"""What a function is given besides its arguments, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Protocol

from device.functions.booking_codes import Guesses
from device.functions.contract import FunctionCall, Origin, Refused
from device.functions.hours import BookSettings
from device.functions.store import Reading, Writing

CLOCK_UNTRUSTED = "I don't know what day it is yet: my clock was not set since I was switched on."


@dataclass(frozen=True, slots=True)
class Outcome:
    """A function's answer: a JSON object for programs and a sentence to say aloud."""

    value: Mapping[str, Any]
    sentence: str = ""


class FunctionStore(Protocol):
    """The store as a function sees it."""

    def reading(self) -> AbstractContextManager[Reading]:
        """Look at what is stored."""
        ...

    def transaction(self) -> AbstractContextManager[Writing]:
        """Change something. It is committed together with the function's result when the function returns, and
        undone when it raises or is over its time. Do slow work before: until then nobody else can write."""
        ...


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Context:
    """The world of one call; a function that wants it has a parameter `ctx: Context`."""

    store: FunctionStore
    call_id: str
    """Also the idempotency key for a backend of the function's own."""
    session: str = ""
    origin: Origin = "voice"
    clock: Callable[[], datetime] = _utc_now
    """Injected, so that tests and a replay can freeze it; aware."""
    timezone: tzinfo = UTC
    book: BookSettings = field(default_factory=BookSettings)

    clock_trusted: Callable[[], bool] = lambda: True
    """False while the device cannot know what day it is."""

    guesses: Guesses = field(default_factory=Guesses)
    """Of the codes of bookings; one for the whole app."""

    def now(self) -> datetime:
        """The present in the house's time zone."""
        return self.clock().astimezone(self.timezone)

    def dated_now(self) -> datetime:
        """The present, for what depends on the day or the time of day; raises Refused "clock-untrusted"."""
        if not self.clock_trusted():
            raise Refused("clock-untrusted", CLOCK_UNTRUSTED)
        return self.now()


def contexts(
    clock: Callable[[], datetime], timezone: tzinfo, book: BookSettings, clock_trusted: Callable[[], bool]
) -> Callable[[FunctionCall, FunctionStore], Context]:
    """Makes the context of each call of one house: one clock, one book, one count of wrong codes."""
    guesses = Guesses()

    def make(call: FunctionCall, store: FunctionStore) -> Context:
        return Context(store, call.id, call.session, call.origin, clock, timezone, book, clock_trusted, guesses)

    return make
