"""One run of a function against the store: its effect and its record are one transaction, or neither exists."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from enum import Enum

from device.functions.contract import FunctionError
from device.functions.records import keep
from device.functions.store import Reading, RecordedCall, Store, Writing


class Fate(Enum):
    """Who decides what becomes of the run: whoever comes first, the function's end or its time limit."""

    RUNNING = "running"
    FINISHED = "finished"
    ABANDONED = "abandoned"


class Abandoned(Exception):
    """It was given up before the function ended: everything it changed is undone."""


class RecordedElsewhere(Exception):
    """Another process has run the same call meanwhile: its result counts, ours is undone."""


class Unit:
    """Implements `FunctionStore` for one run, and ends it. Used by one thread; only `abandon` comes from another."""

    def __init__(self, store: Store, *, effect: bool, blocking_allowed: bool, urgent: bool = False) -> None:
        self._store = store
        self._effect = effect
        self._urgent = urgent
        self._blocking_allowed = blocking_allowed
        self._open = contextlib.ExitStack()
        self._writing: Writing | None = None
        self._committed: Future[None] = Future()
        self._broken = False
        self._fate = Fate.RUNNING
        self._deciding = threading.Lock()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Reading]:
        if self._writing is not None:  # what the function has changed itself
            yield self._writing
            return
        with self._store.reading() as view:
            yield view

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Writing]:
        if not self._effect:
            raise FunctionError("changes the store without effect=True")
        if not self._blocking_allowed:
            # It would hold the store while it awaits, and stop the loop while it waits for the store.
            raise FunctionError("an async function cannot change the store: write `def` instead of `async def`")
        try:
            yield self._begin()
        except BaseException:  # whatever it was: a function that swallows it shall not commit half of its changes
            self._broken = True
            raise

    def commit(self, record: RecordedCall, *, spoken_later: bool) -> Future[None]:
        """The function has succeeded: its effect, its record and what is to be heard, at once. They are there when
        the future has ended."""
        with self._open:
            if self._broken:
                raise FunctionError("went on although its transaction had failed")
            if not keep(record, spoken_later=spoken_later)(self._begin()):
                raise RecordedElsewhere
            if not self.finish():
                raise Abandoned
        return self._committed

    def undo(self) -> None:
        """The function has failed, or nobody waits for it any more."""
        with contextlib.suppress(Abandoned), self._open:
            self._writing = None
            raise Abandoned  # so that the transaction is not committed

    def finish(self) -> bool:
        """The function has ended in time; False when it was given up before."""
        return self._decide(Fate.FINISHED)

    def abandon(self) -> bool:
        """From another thread, when the time is over; False when the end came first and is being committed."""
        return self._decide(Fate.ABANDONED)

    def _decide(self, fate: Fate) -> bool:
        with self._deciding:
            if self._fate is Fate.RUNNING:
                self._fate = fate
            return self._fate is fate

    def _begin(self) -> Writing:
        if self._writing is None:
            joined = self._store.joined(urgent=self._urgent)
            self._writing, self._committed = self._open.enter_context(joined)
        return self._writing
