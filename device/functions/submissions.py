"""Changes that are handed in and not waited for: one thread carries out all that wait, in one transaction."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from device.functions.contract import StoreFailed
from device.functions.store import Writing

T = TypeVar("T")
_AT_ONCE = 256


class Submission:
    """One work and the future of its value."""

    def __init__(self, work: Callable[[Writing], Any], *, urgent: bool) -> None:
        self.urgent = urgent
        self.future: Future[Any] = Future()
        self._work = work
        self._value: Any = None
        self._failure: BaseException | None = None

    def carry_out(self, store: Writing) -> None:
        """Raises what the work raises."""
        self._value = self._work(store)

    def carry_out_alone(self, connection: sqlite3.Connection, store: Writing) -> None:
        """In a savepoint of its own; what it raises is kept for its future."""
        connection.execute("SAVEPOINT work")
        try:
            self._value = self._work(store)
        except Exception as error:
            if not connection.in_transaction:  # a full disk: the database has undone everything
                raise
            connection.execute("ROLLBACK TO work")
            self._failure = error
        connection.execute("RELEASE work")

    def settle(self, error: StoreFailed | None) -> None:
        """The group is committed, or could not be."""
        failure = error or self._failure
        if failure is not None:
            self.future.set_exception(failure)
        else:
            self.future.set_result(self._value)


class Submissions:
    """The queue and its thread, which ends with `close`."""

    def __init__(self, write: Callable[[Sequence[Submission]], None]) -> None:
        self._write = write
        self._urgent: deque[Submission] = deque()
        self._others: deque[Submission] = deque()
        self._arrived = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def put(self, work: Callable[[Writing], T], *, urgent: bool) -> Future[T]:
        """Queue it; after `close` its future fails at once."""
        submission = Submission(work, urgent=urgent)
        submission.future.set_running_or_notify_cancel()
        with self._arrived:
            if self._closed:
                submission.settle(StoreFailed("the store is closed"))
                return submission.future
            (self._urgent if urgent else self._others).append(submission)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="wakeline-store", daemon=True)
                self._thread.start()
            self._arrived.notify()
        return submission.future

    def close(self) -> None:
        """What was handed in is still carried out."""
        with self._arrived:
            self._closed = True
            self._arrived.notify()
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        while works := self._take():
            failure: StoreFailed | None = None
            try:
                self._write(works)
            except StoreFailed as error:
                failure = error
            for work in works:
                work.settle(failure)

    def _take(self) -> list[Submission]:
        with self._arrived:
            self._arrived.wait_for(lambda: self._urgent or self._others or self._closed)
            works: list[Submission] = []
            for line in (self._urgent, self._others):
                while line and len(works) < _AT_ONCE:
                    works.append(line.popleft())
            return works
