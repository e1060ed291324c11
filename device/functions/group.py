"""One writer, many at the door: changes of several threads share one transaction and one fsync.

Each entrant's changes are a savepoint of their own, so one that fails is undone alone. The last entrant of a group
commits it; who comes while a commit runs forms the next group. Nobody is told that his change is there before COMMIT.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

_MOST = 64
"""Entrants of one group: those who are done wait for those who are not."""
_SHORTEST_S = 0.01
"""Who is done waits so long for others, or as long as the last commit took: then half of the time goes into commits."""


class Locked(Exception):
    """Nobody let us in within the time."""


class Commit:
    """What the members of one group wait for."""

    def __init__(self) -> None:
        self.members = 0
        self.since = 0.0
        """When the first one was done."""
        self.done = threading.Event()
        self.error: sqlite3.Error | None = None
        self._listeners: list[Callable[[sqlite3.Error | None], None]] = []
        self._telling = threading.Lock()

    def when_done(self, listener: Callable[[sqlite3.Error | None], None]) -> None:
        """Called once with what failed, if anything, in the thread that commits: it must be quick."""
        with self._telling:
            if not self.done.is_set():
                self._listeners.append(listener)
                return
        listener(self.error)

    def end(self, error: sqlite3.Error | None) -> None:
        self.error = error
        with self._telling:
            self.done.set()
        for listener in self._listeners:
            listener(error)


class Group:
    """Owns the connection's transactions; used from any thread."""

    def __init__(self, connection: sqlite3.Connection, wait_s: float) -> None:
        self._db = connection
        self._wait_s = wait_s
        self._door = threading.Lock()
        self._inside = False
        self._urgent: deque[threading.Event] = deque()
        self._waiting: deque[threading.Event] = deque()
        self._commit = Commit()
        self._open_s = _SHORTEST_S

    @contextlib.contextmanager
    def entered(self, *, urgent: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection, alone. When the block ends its changes are committed; when it raises they are undone.

        Raises:
            Locked: another thread did not leave in time.
            sqlite3.Error: the database could not do it; nothing of the block is there.
        """
        with self.joined(urgent=urgent) as (connection, commit):
            yield connection
        commit.done.wait()
        if commit.error is not None:
            raise again(commit.error)

    @contextlib.contextmanager
    def joined(self, *, urgent: bool = False) -> Iterator[tuple[sqlite3.Connection, Commit]]:
        """The same without waiting for the commit, which its `Commit` tells of."""
        self._enter(urgent)
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("SAVEPOINT entrant")
        except BaseException as error:
            self._leave(error)
            raise
        try:
            yield self._db, self._commit
            self._db.execute("RELEASE entrant")
        except BaseException as error:
            self._undo()
            self._leave(error)
            raise
        self._leave(None)

    def _enter(self, urgent: bool) -> None:
        with self._door:
            if not self._inside:
                self._inside = True
                return
            turn = threading.Event()
            line = self._urgent if urgent else self._waiting
            line.append(turn)
        if turn.wait(self._wait_s):
            return
        with self._door:
            if turn.is_set():  # let in just now
                return
            line.remove(turn)
        raise Locked

    def _undo(self) -> None:
        # A full disk has ended the whole transaction already: then there is no savepoint to go back to.
        if self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK TO entrant")
                self._db.execute("RELEASE entrant")

    def _leave(self, error: BaseException | None) -> None:
        """Let the next one in, or commit the group when nobody waits, it is large or open for long."""
        commit = self._commit
        if error is None:
            commit.members += 1
            if commit.members == 1:
                commit.since = time.monotonic()
        lost = commit.members > 0 and not self._db.in_transaction  # the database itself has undone everybody's
        with self._door:
            room = not commit.members or (commit.members < _MOST and time.monotonic() < commit.since + self._open_s)
            if (self._urgent or self._waiting) and room and self._db.in_transaction:
                self._next()
                return
        undone = sqlite3.OperationalError("the group was undone")
        self._finish(commit, (error if isinstance(error, sqlite3.Error) else undone) if lost else None)
        with self._door:
            self._commit = Commit()
            self._next()

    def _finish(self, commit: Commit, lost: sqlite3.Error | None) -> None:
        failure = lost
        began = time.monotonic()
        try:
            if self._db.in_transaction:
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            failure = error
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        self._open_s = max(time.monotonic() - began, _SHORTEST_S)
        commit.end(failure)

    def _next(self) -> None:
        line = self._urgent or self._waiting
        if line:
            line.popleft().set()
        else:
            self._inside = False


def again(error: sqlite3.Error) -> sqlite3.Error:
    """The same for each member: an exception that is raised in several threads would mix their traces."""
    same = type(error)(*error.args)
    same.__dict__.update(error.__dict__)
    return same
