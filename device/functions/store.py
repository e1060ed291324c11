"""The store as everybody sees it: what is kept, how it is read and changed. `sqlite_store` is the one that keeps it.

Every method has committed when it returns, or raises `StoreFailed`; all may be called from any thread. All times are
aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from device.calls.attempts import CallStore


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A function call that has its final result: `value`, or `error_code` with a sentence."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    origin: str
    session: str
    state: Literal["done", "refused", "failed"]
    value: Mapping[str, Any] | None
    error_code: str
    sentence: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Appointment:
    """A line of the book."""

    id: int
    starts: datetime
    minutes: int
    zone: str
    """IANA name of the zone in which it was made; it is shown in that one."""
    name: str
    people: int
    state: Literal["booked", "cancelled"]
    created: datetime
    call_id: str = ""
    """The function call that made it."""


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer that runs or rings."""

    id: int
    name: str
    seconds: int
    ends: datetime


@dataclass(frozen=True, slots=True)
class Unheard:
    """A committed result that nobody has heard yet."""

    reply: str
    """Id of the function call."""
    text: str
    created: datetime


class Reading(Protocol):
    """One consistent view of what is stored."""

    def function_call(self, id: str) -> RecordedCall | None: ...

    def appointments(
        self, start: datetime | None = None, end: datetime | None = None, *, cancelled: bool = False
    ) -> list[Appointment]:
        """Those that overlap the span, by their start; cancelled ones only if asked for."""
        ...

    def appointment(self, id: int) -> Appointment | None: ...

    def timers(self) -> list[Timer]:
        """Those that nobody has stopped, the next one first."""
        ...

    def unheard(self) -> list[Unheard]:
        """Oldest first."""
        ...


class Writing(Reading, Protocol):
    """Changes that are committed together or not at all."""

    def record_function_call(self, call: RecordedCall) -> None: ...

    def add_appointment(
        self, starts: datetime, minutes: int, zone: str, *, name: str, people: int, created: datetime, call_id: str = ""
    ) -> int: ...

    def cancel_appointment(self, id: int) -> bool:
        """False when there is no such appointment, or no more."""
        ...

    def add_timer(self, name: str, seconds: int, ends: datetime, created: datetime) -> int: ...

    def stop_timer(self, id: int) -> bool:
        """Cancelled, or rung and heard."""
        ...

    def add_unheard(self, reply: str, text: str, created: datetime) -> None: ...


class Store(CallStore, Protocol):
    """The whole store; its single steps are transactions of their own."""

    def reading(self) -> AbstractContextManager[Reading]: ...

    def transaction(self) -> AbstractContextManager[Writing]:
        """Committed when the block ends, undone when it raises."""
        ...

    def next_epoch(self) -> int:
        """1, 2, 3...: never the same again."""
        ...

    def unheard(self) -> list[Unheard]: ...

    def mark_heard(self, reply: str, at: datetime) -> bool:
        """The user has heard a result; False if it was not waiting."""
        ...

    def timers(self) -> list[Timer]: ...

    def stop_timer(self, id: int) -> bool: ...

    def prune(self, before: datetime) -> int:
        """Forget function calls, heard results, ended calls and stopped timers from before then; how many."""
        ...

    def close(self) -> None: ...
