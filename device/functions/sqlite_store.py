"""The store on SQLite: WAL, synchronous=FULL, one writer. Owns connections, transactions and their failures."""

from __future__ import annotations

import contextlib
import os
import queue
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from device.calls.attempts import Attempt
from device.functions.contract import StoreFailed
from device.functions.group import Group, Locked
from device.functions.migrations import migrate
from device.functions.sqlite_prune import prune_some
from device.functions.sqlite_tables import SqliteReading, SqliteWriting
from device.functions.store import Timer, Unheard, Writing
from device.functions.submissions import Submission, Submissions

T = TypeVar("T")

NAME = "wakeline.db"
_MOST_READERS = 8
_REASONS = {
    sqlite3.SQLITE_BUSY: "is locked by another process",
    sqlite3.SQLITE_LOCKED: "is locked",
    sqlite3.SQLITE_READONLY: "is read-only",
    sqlite3.SQLITE_PERM: "may not be opened",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_FULL: "is full, or its disk is",
    sqlite3.SQLITE_IOERR: "cannot be read or written",
    sqlite3.SQLITE_CORRUPT: "is corrupt",
    sqlite3.SQLITE_NOTADB: "is no database",
}


class SqliteStore:
    """Implements `Store` in one file."""

    def __init__(self, path: Path, *, wait_s: float = 2.0) -> None:
        """Open, create or migrate; `wait_s` is how long another writer is waited for."""
        self.path = path
        self._wait_s = wait_s
        self._closed = False
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue(_MOST_READERS)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # it holds names: for its owner alone
        except OSError as error:
            raise StoreFailed(f"{path} cannot be opened: {error.strerror}") from error
        with self._failures():
            self._writer = self._connect()
            try:
                self._writer.execute("PRAGMA journal_mode = WAL")
                self._writer.execute("PRAGMA synchronous = FULL")
                # A checkpoint stops the writers for a moment: rather seldom, and of a log of at most 16 MB.
                self._writer.execute("PRAGMA wal_autocheckpoint = 4000")
                migrate(self._writer)
            except BaseException:  # whatever it was: nobody else closes it
                self._writer.close()
                raise
        self._group = Group(self._writer, wait_s)
        self._submitted = Submissions(self._write)

    @contextlib.contextmanager
    def reading(self) -> Iterator[SqliteReading]:
        with self._failures():
            connection = self._reader()
            try:
                connection.execute("BEGIN")
                yield SqliteReading(connection)
            finally:
                self._give_back(connection)

    @contextlib.contextmanager
    def glance(self) -> Iterator[SqliteReading]:
        with self._failures():
            connection = self._reader()
            try:
                yield SqliteReading(connection)
            finally:
                self._give_back(connection)

    @contextlib.contextmanager
    def transaction(self, *, urgent: bool = False) -> Iterator[SqliteWriting]:
        with self._failures(), self._group.entered(urgent=urgent) as connection:
            yield SqliteWriting(connection)

    @contextlib.contextmanager
    def joined(self, *, urgent: bool = False) -> Iterator[tuple[SqliteWriting, Future[None]]]:
        committed: Future[None] = Future()
        with self._failures(), self._group.joined(urgent=urgent) as (connection, commit):
            yield SqliteWriting(connection), committed

        def tell(error: sqlite3.Error | None) -> None:
            if error is None:
                committed.set_result(None)
            else:
                committed.set_exception(self._failure(error))

        commit.when_done(tell)

    def submit(self, work: Callable[[Writing], T], *, urgent: bool = False) -> Future[T]:
        return self._submitted.put(work, urgent=urgent)

    def _write(self, works: Sequence[Submission]) -> None:
        """Carry out what was submitted, in one go; when one of them fails, again with a savepoint for each."""
        with self._failures(), self._group.entered(urgent=any(work.urgent for work in works)) as connection:
            store = SqliteWriting(connection)
            connection.execute("SAVEPOINT works")
            try:
                for work in works:
                    work.carry_out(store)
            except Exception:  # a work may raise anything; each is then tried alone, and only its own future fails
                if not connection.in_transaction:  # a full disk: the database has undone everything
                    raise
                connection.execute("ROLLBACK TO works")
                for work in works:
                    work.carry_out_alone(connection, store)
            connection.execute("RELEASE works")

    # -- single steps ---------------------------------------------------------------------------------------------
    def next_epoch(self) -> int:
        with self.transaction() as store:
            return store.next_epoch()

    def unheard(self) -> list[Unheard]:
        with self.reading() as store:
            return store.unheard()

    def mark_heard(self, reply: str, at: datetime) -> bool:
        with self.transaction() as store:
            return store.mark_heard(reply, at)

    def timers(self) -> list[Timer]:
        with self.reading() as store:
            return store.timers()

    def stop_timer(self, id: int) -> bool:
        with self.transaction() as store:
            return store.stop_timer(id)

    def prune(self, before: datetime) -> int:
        forgotten = 0
        while some := self._prune_some(before):  # in steps: others write between them
            forgotten += some
        return forgotten

    def _prune_some(self, before: datetime) -> int:
        with self._failures(), self._group.entered() as connection:
            return prune_some(connection, before)

    def record_call(self, attempt: Attempt) -> None:
        with self.transaction() as store:
            store.record_call(attempt)

    def mark_call_placed(self, call: str, vendor_id: str) -> None:
        with self.transaction() as store:
            store.mark_call_placed(call, vendor_id)

    def mark_call_ended(self, call: str, cause: str, code: str, detail: str, answered: bool, at: float) -> None:
        with self.transaction() as store:
            store.mark_call_ended(call, cause, code, detail, answered, at)

    def open_calls(self) -> list[Attempt]:
        with self.reading() as store:
            return store.open_calls()

    def count_calls_since(self, at: float) -> int:
        with self.reading() as store:
            return store.count_calls_since(at)

    def close(self) -> None:
        """Nothing may use the store any more."""
        self._submitted.close()
        with contextlib.suppress(Locked, StoreFailed, sqlite3.Error), self._group.entered():
            self._closed = True
        self._closed = True
        while not self._readers.empty():
            self._readers.get_nowait().close()
        self._writer.close()

    # -- connections ----------------------------------------------------------------------------------------------
    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=self._wait_s, isolation_level=None, check_same_thread=False)

    def _reader(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreFailed(f"{self.path} is closed")
        with contextlib.suppress(queue.Empty):
            return self._readers.get_nowait()
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if self._closed:
                connection.close()
                return
            self._readers.put_nowait(connection)
        except (sqlite3.Error, queue.Full):
            connection.close()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except Locked as error:
            raise StoreFailed(f"{self.path} is locked by another thread") from error
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error) -> StoreFailed:
        # Extended codes carry the primary one in their low byte; a misuse of ours has none.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        return StoreFailed(f"{self.path} {_REASONS.get(code, f'failed ({type(error).__name__}: {error})')}")
