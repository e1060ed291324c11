"""Daemon threads that are used again: a function that hangs must neither stop the others nor keep the program alive."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
Work = Callable[[], "T | Future[T]"]
_IDLE_S: Final = 10.0
"""A thread without work for so long ends."""
_USUAL: Final = 3
_STALLED_S: Final = 0.01


class Inbox:
    """Brings news of other threads to a loop; many of them wake it once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._news: deque[Callable[[], None]] = deque()
        self._changing = threading.Lock()

    def post(self, news: Callable[[], None]) -> None:
        """From any thread: the loop calls it soon, in the order of posting."""
        with self._changing:
            self._news.append(news)
            first = len(self._news) == 1
        if first:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._changing:
            news, self._news = self._news, deque()
        for one in news:
            one()


class Job(Generic[T]):
    """Work for a thread; its `end` is set in the loop. When the work gives a future, the thread is free, and the
    job ends with that one.
    """

    __slots__ = ("_inbox", "_work", "end", "slow", "started")

    def __init__(self, work: Work[T], inbox: Inbox) -> None:
        self.end: asyncio.Future[T] = inbox.loop.create_future()
        self.started = 0
        self.slow = 0
        """Threads that carry it out, and those of them that are not counted: 0 or 1, under the lock of its pool."""
        self._work = work
        self._inbox = inbox

    def carry_out(self) -> None:
        value: Any = None
        failure: BaseException | None = None
        try:
            value = self._work()
        except BaseException as error:
            failure = error
        if isinstance(value, Future):
            value.add_done_callback(self._told)
        else:
            self._inbox.post(lambda: settle(self.end, value, failure))

    def _told(self, future: Future[T]) -> None:
        self._inbox.post(lambda: settle_by(self.end, future))


class Threads:
    """A few at first: more would only wait for each other. While all of them wait for something else, one more every
    `_STALLED_S`, to `busy` at work; those of slow jobs are not counted, up to `most` in all.
    """

    def __init__(self, name: str, *, busy: int, most: int) -> None:
        self._name = name
        self._busy = busy
        self._most = most
        self._jobs: deque[Job[Any]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._slow = 0
        self._taken = 0
        self._watch: asyncio.TimerHandle | None = None

    def start(self, work: Work[T], inbox: Inbox) -> Job[T]:
        """Queue it for the next free thread."""
        job = Job(work, inbox)
        with self._changed:
            self._jobs.append(job)
            self._wake(_USUAL)
            if len(self._jobs) > self._idle and (self._watch is None or self._watch.cancelled()):
                self._look_again(inbox.loop)
        return job

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watch = loop.call_later(_STALLED_S, self._look, self._taken, loop)

    def _look(self, taken: int, loop: asyncio.AbstractEventLoop) -> None:
        with self._changed:
            self._watch = None
            if self._jobs:
                if taken == self._taken:
                    self._wake(self._busy)
                self._look_again(loop)

    def leave_to_itself(self, job: Job[Any]) -> bool:
        """It will take long, or for ever: another thread takes the place of its own. False when there are too many."""
        with self._changed:
            if job.slow or not job.started or self._busy + self._slow >= self._most:
                return False
            job.slow = 1
            self._slow += 1
            self._wake(_USUAL)
            return True

    def _wake(self, busy: int) -> None:
        if self._idle:
            self._changed.notify()
        if len(self._jobs) > self._idle and self._threads < min(busy, self._busy) + self._slow:
            self._threads += 1
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            job.carry_out()
            with self._changed:
                job.started = 0
                self._slow -= job.slow
                job.slow = 0
            del job  # its result belongs to others now

    def _next(self) -> Job[Any] | None:
        """None when this thread is one too many."""
        with self._changed:
            while self._threads <= self._busy + self._slow:
                if self._jobs:
                    self._taken += 1
                    job = self._jobs.popleft()
                    job.started = 1
                    return job
                self._idle += 1
                woken = self._changed.wait(_IDLE_S)
                self._idle -= 1
                if not woken and not self._jobs:
                    break
            self._threads -= 1
            return None


def settle(end: asyncio.Future[Any], value: Any, failure: BaseException | None) -> None:
    """In the loop."""
    if end.done():
        return
    if failure is not None:
        end.set_exception(failure)
    else:
        end.set_result(value)


def settle_by(end: asyncio.Future[T], future: Future[T]) -> None:
    """In the loop, by one of a thread that has ended."""
    failure = future.exception()
    settle(end, None if failure is not None else future.result(), failure)
