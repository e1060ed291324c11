"""The store as everybody sees it: what is kept, how it is read and changed. `sqlite_store` is the one that keeps it.

Every method has committed when it returns, or raises `StoreFailed`; all may be called from any thread. All times are
aware UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

from device.calls.attempts import Attempt, CallStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A function call: with its final result (`value`, or `error_code` with a sentence), or still running."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    origin: str
    session: str
    state: Literal["running", "done", "refused", "failed"]
    """"running": it was answered "still working"; a crash must not lose it."""
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


@dataclass(frozen=True, slots=True)
class Answered:
    """An authentic request from outside and what it was answered: seen again, it is answered so again."""

    digest: str
    """Of its path and raw body: a retry has a new signature, and the same body."""
    status: int
    media_type: str
    body: bytes
    created: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A phone call of a provider, from its first event to its report."""

    id: str
    provider: Literal["vapi", "twilio"]
    state: str
    """The provider's word, never behind a later one: queued, ringing, in-progress, ended..."""
    started: datetime
    ended: datetime | None = None
    reason: str = ""
    """Why it ended, in the provider's words."""
    summary: str = ""
    """Kept only if the user has allowed text to be kept."""


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """One event of a session, without what people said."""

    session: str
    number: int
    """The provider's sequence number where it has one, else the order of arrival."""
    kind: str
    detail: str
    at: datetime


class Reading(Protocol):
    """One consistent view of what is stored."""

    def function_call(self, id: str) -> RecordedCall | None: ...

    def function_calls(self, session: str | None = None, *, most: int = 1000) -> list[RecordedCall]:
        """Newest first; of one session, or all."""
        ...

    def running_calls(self) -> list[RecordedCall]:
        """Those answered "still working" whose end is not recorded, oldest first."""
        ...

    def undelivered(self, session: str | None = None) -> list[RecordedCall]:
        """Ended after they were answered "still working", and their result not told yet; oldest first."""
        ...

    def answered(self, digest: str) -> Answered | None: ...

    def session(self, id: str) -> Session | None: ...

    def sessions(self, *, most: int = 1000) -> list[Session]:
        """Newest first."""
        ...

    def session_events(self, session: str) -> list[SessionEvent]:
        """By their number."""
        ...

    def placed_calls(self, *, most: int = 1000) -> list[Attempt]:
        """Attempts to call somebody, newest first."""
        ...

    def quiet_sessions(self, provider: Literal["vapi", "twilio"], before: datetime, *, most: int = 1000) -> list[str]:
        """Ids of those that are open and of which nothing was heard since then; oldest first."""
        ...

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

    def setting(self, name: str, default: int) -> int:
        """What a user has set by voice."""
        ...


class Writing(Reading, Protocol):
    """Changes that are committed together or not at all."""

    def record_function_call(self, call: RecordedCall) -> None:
        """New, or the end of one that was running."""
        ...

    def mark_delivered(self, call: str) -> bool:
        """A late result was told; False if it was not waiting."""
        ...

    def record_answered(self, answered: Answered) -> None: ...

    def open_session(self, id: str, provider: Literal["vapi", "twilio"], at: datetime) -> None:
        """Once; again it changes nothing."""
        ...

    def note_session(self, id: str, kind: str, detail: str, at: datetime, *, number: int | None = None) -> bool:
        """An event of an open session, in its order; False when one with this number is there already."""
        ...

    def set_session_state(self, id: str, state: str) -> None: ...

    def close_session(self, id: str, reason: str, summary: str, at: datetime) -> bool:
        """False when it was closed before; the first reason stays."""
        ...

    def add_appointment(
        self, starts: datetime, minutes: int, zone: str, *, name: str, people: int, created: datetime, call_id: str = ""
    ) -> int: ...

    def cancel_appointment(self, id: int) -> bool:
        """False when there is no such appointment, or no more."""
        ...

    def set_setting(self, name: str, value: int) -> None: ...

    def add_timer(self, name: str, seconds: int, ends: datetime, created: datetime) -> int: ...

    def stop_timer(self, id: int) -> bool:
        """Cancelled, or rung and heard."""
        ...

    def add_unheard(self, reply: str, text: str, created: datetime) -> None: ...


class Store(CallStore, Protocol):
    """The whole store; its single steps are transactions of their own."""

    def reading(self) -> AbstractContextManager[Reading]: ...

    def glance(self) -> AbstractContextManager[Reading]:
        """For a single question: cheaper than `reading`, and a second one may see something newer."""
        ...

    def transaction(self, *, urgent: bool = False) -> AbstractContextManager[Writing]:
        """Committed when the block ends, undone when it raises; `urgent` as in `submit`."""
        ...

    def joined(self, *, urgent: bool = False) -> AbstractContextManager[tuple[Writing, Future[None]]]:
        """Like `transaction`, and does not wait when the block ends: the future ends with the commit."""
        ...

    def submit(self, work: Callable[[Writing], T], *, urgent: bool = False) -> Future[T]:
        """Do it in the writer's next group of changes; the future has its value once that group is committed.

        Each work is undone alone when it raises, and its exception is the future's. When another one raises it may be
        done a second time, after it was undone: it changes nothing but the store. `urgent` (somebody in the room
        waits) goes before the others.
        """
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
        """Forget function calls, heard results, answers, sessions, ended calls and stopped timers from before then, and
        the oldest of more than a card should hold; how many."""
        ...

    def close(self) -> None: ...
