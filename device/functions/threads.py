"""Daemon threads that are used again: a function that hangs must neither stop the others nor keep the program alive."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_MOST = 128


class Threads:
    """Grows to `usual` threads; each one that is known to be slow is replaced by another, up to `_MOST`."""

    def __init__(self, name: str, usual: int) -> None:
        self._name = name
        self._usual = usual
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._started = 0
        self._idle = threading.Semaphore(0)
        self._slow = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Its value or its exception, also when the caller is cancelled."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def task() -> None:
            value: Any = None
            failure: BaseException | None = None
            try:
                value = work()
            except BaseException as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_settle, answer, value, failure)

        self._start_one()
        self._work.put(task)
        return await answer

    def slow(self) -> None:
        """One of them will be busy for long: another one takes its place."""
        self._slow += 1
        self._start_one()

    def fast(self) -> None:
        """It has ended after all."""
        self._slow -= 1

    def _start_one(self) -> None:
        if self._idle.acquire(blocking=False):
            self._idle.release()
            return
        if self._started < min(self._usual + self._slow, _MOST):
            self._started += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._started}", daemon=True).start()

    def _serve(self) -> None:
        while True:
            self._idle.release()
            work = self._work.get()
            self._idle.acquire()
            work()


def _settle(answer: asyncio.Future[Any], value: Any, failure: BaseException | None) -> None:
    if answer.cancelled():
        return
    if failure is not None:
        answer.set_exception(failure)
    else:
        answer.set_result(value)
