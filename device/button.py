"""Owns the push-to-talk keys of a terminal: space talks (it toggles: there is no key-up), m mutes, q quits."""

from __future__ import annotations

import asyncio
import atexit
import os
import re
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, StrEnum
from typing import Any, TextIO

from audio.events import Event, Pressed, Released, TurnEnded, TurnStarted, UtteranceEnded


class Key(StrEnum):
    """What a person asked for with a key."""

    TALK = "talk"
    MUTE = "mute"
    QUIT = "quit"


_KEYS = {" ": Key.TALK, "m": Key.MUTE, "M": Key.MUTE, "q": Key.QUIT, "Q": Key.QUIT}
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.)?")
"""Arrows and function keys: their codes contain letters."""
_BACKGROUND_S = 0.5


class _Talk(Enum):
    UP = "up"
    DOWN = "down"


class TalkKey:
    """Makes a held button of a key that is only pressed: which of the two comes next follows from the turn."""

    source = "terminal"

    def __init__(self) -> None:
        self._state = _Talk.UP

    def pressed(self) -> Pressed | Released:
        """The key was hit: what that means now."""
        if self._state is _Talk.UP:
            self._state = _Talk.DOWN
            return Pressed(source=self.source)
        self._state = _Talk.UP
        return Released(source=self.source)

    def see(self, event: Event) -> None:
        """Follow the loop: when it stopped listening by itself, the next hit begins again."""
        match event:
            case UtteranceEnded() | TurnEnded():
                self._state = _Talk.UP
            case TurnStarted(by="press"):
                self._state = _Talk.DOWN  # pressed somewhere else (`wakeline press`): space may end it


class TerminalKeys:
    """Reads single keys from a terminal; yields nothing where the stream is none."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = sys.stdin if stream is None else stream
        self._fd: int | None = None
        with suppress(OSError, ValueError, AttributeError):  # closed, captured or absent
            if stream.isatty():
                self._fd = stream.fileno()
        self._saved: list[Any] = []

    @property
    def available(self) -> bool:
        return self._fd is not None

    async def hits(self) -> AsyncIterator[Key]:
        """The keys as they are hit, until the terminal ends; its mode is put back however this ends."""
        if self._fd is None:
            return
        arrived: asyncio.Queue[str] = asyncio.Queue(maxsize=64)
        with self._single_keys(), self._reading(self._fd, arrived):
            while text := await arrived.get():
                for character in _ESCAPES.sub("", text):
                    if character in _KEYS:
                        yield _KEYS[character]

    @contextmanager
    def _reading(self, fd: int, arrived: asyncio.Queue[str]) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        again: list[asyncio.TimerHandle] = []

        def read() -> None:
            if not _in_foreground(fd):  # reading now would stop the process
                resume()
                return
            try:
                data = os.read(fd, 256)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                loop.remove_reader(fd)
            if arrived.full():  # somebody leans on the keyboard: old keys mean nothing any more
                arrived.get_nowait()
            arrived.put_nowait(data.decode("utf-8", "replace"))

        def suspend() -> None:
            self.restore()
            os.kill(os.getpid(), signal.SIGSTOP)  # stops here; Ctrl-Z's own signal was caught to restore first
            resume()

        def resume() -> None:
            for handle in again:
                handle.cancel()
            again.clear()
            if _in_foreground(fd):
                self._apply(fd)
                loop.add_reader(fd, read)
            else:  # no signal tells a running job that it was brought back: ask now and then
                loop.remove_reader(fd)
                again.append(loop.call_later(_BACKGROUND_S, resume))

        loop.add_reader(fd, read)
        loop.add_signal_handler(signal.SIGTSTP, suspend)
        loop.add_signal_handler(signal.SIGCONT, resume)
        try:
            yield
        finally:
            for handle in again:
                handle.cancel()
            loop.remove_reader(fd)
            loop.remove_signal_handler(signal.SIGTSTP)
            loop.remove_signal_handler(signal.SIGCONT)

    @contextmanager
    def _single_keys(self) -> Iterator[None]:
        assert self._fd is not None
        self._saved = termios.tcgetattr(self._fd)
        atexit.register(self.restore)  # also when the loop is torn down without closing us
        try:
            if _in_foreground(self._fd):
                self._apply(self._fd)
            yield
        finally:
            self.restore()
            atexit.unregister(self.restore)

    def _apply(self, fd: int) -> None:
        """Keys at once and unseen; Ctrl-C and Ctrl-Z keep their meaning."""
        with suppress(termios.error):
            tty.setcbreak(fd, termios.TCSANOW)

    def restore(self) -> None:
        """Put the terminal back as it was found."""
        if self._fd is None or not self._saved or not _in_foreground(self._fd):
            return
        with suppress(termios.error):
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)


def _in_foreground(fd: int) -> bool:
    """May this process use the terminal? A background one would be stopped for touching it."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True  # not our controlling terminal: nobody stops us
