"""From the loop to the threads and to the store's writer, and back: nothing here blocks the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from device.functions.commits import committed, inbox
from device.functions.store import Store, Writing
from device.functions.threads import Job, Threads, Work

T = TypeVar("T")
IN_THE_ROOM: Final = 8
FROM_OUTSIDE: Final = 16
"""Threads at work: a thousand phone calls never make the voice wait for one."""
MOST_THREADS: Final = 128
"""With those that are left to themselves."""


class Workshop:
    """One for a runner; `urgent` is for those who wait in the room."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._room = Threads("wakeline-room", busy=IN_THE_ROOM, most=MOST_THREADS)
        self._outside = Threads("wakeline-outside", busy=FROM_OUTSIDE, most=MOST_THREADS)

    def start(self, work: Work[T], *, urgent: bool) -> Job[T]:
        """In a thread, as soon as one is free."""
        return self._threads(urgent).start(work, inbox())

    async def run(self, work: Work[T], *, urgent: bool = False) -> T:
        """The same, to its end."""
        return await self.start(work, urgent=urgent).end

    def leave_to_itself(self, job: Job[T], *, urgent: bool) -> bool:
        """A slow job: another thread takes the place of its own; False when there are too many already."""
        return self._threads(urgent).leave_to_itself(job)

    async def submit(self, change: Callable[[Writing], T], *, urgent: bool = False) -> T:
        """A change of the store, once it is committed."""
        return await committed(self._store, change, urgent=urgent)

    def _threads(self, urgent: bool) -> Threads:
        return self._room if urgent else self._outside
