"""The live shell's heart: one thread that owns the core and moves one frame of each end every 10 ms."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping
from typing import Protocol

from audio.commands import Abandon, Answer, Command
from audio.conversation import Conversation
from audio.events import EarsReady, Event, MicrophoneLost, MicrophoneOpened, SamplesLost
from audio.frames import FRAME, RATE, Pcm, Samples
from audio.turn import Microphone
from audio.wire import Heartbeat, Outbox
from audio.workers import WorkerThread

log = logging.getLogger("wakeline.audio.pump")

_FRAME_S = FRAME / RATE
_READ_TIMEOUT_S = 0.2
_RETRY_S = 2.0
_HEARTBEAT_S = 0.5


class CardLost(Exception):
    """The card does not deliver, or is not there; `code` is stable."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = code


class Card(Protocol):
    """The sound card as the pump sees it; every method may raise `CardLost`."""

    def open(self) -> str:
        """Open output and input; returns the microphone's name."""
        ...

    def open_input(self) -> str: ...
    def close_input(self) -> None: ...
    def read(self, timeout: float) -> Pcm | None:
        """One frame of the near end, or None when none came in time."""
        ...

    def write(self, far: Pcm) -> None:
        """One frame of the far end; never blocks."""
        ...

    def lost(self) -> int:
        """Samples dropped since the last call."""
        ...

    @property
    def echo_delay(self) -> int:
        """Samples between writing a far frame and reading its echo."""
        ...

    def close(self) -> None: ...


class Pump:
    """Sole owner of the conversation and the card. Others post events to it and read the outbox."""

    def __init__(
        self,
        conversation: Conversation,
        card: Card,
        workers: Mapping[str, WorkerThread],
        posted: queue.SimpleQueue[Event],
        outbox: Outbox,
    ) -> None:
        """`posted`: events from other threads, delivered between two frames."""
        self._conversation = conversation
        self._card = card
        self._workers = workers
        self._outbox = outbox
        self._posted = posted
        self._stop = threading.Event()
        self._card_open = self._input_open = False
        self._retry_at = 0.0
        self._beat_at = 0.0
        self._tick_at = 0.0

    def stop(self) -> None:
        """From any thread."""
        self._stop.set()

    def run(self) -> None:
        """Until stopped. A lost card is an event, never an end."""
        self._tick_at = time.monotonic()
        self._settle_card()
        self._outbox.put(EarsReady(hearing=self._conversation.regions.hearing))
        try:
            while not self._stop.is_set():
                self._settle_card()
                self._step(self._near())
                self._heartbeat()
        finally:
            self._card.close()

    def _step(self, near: Pcm | None) -> None:
        conversation = self._conversation
        while True:
            try:
                conversation.receive(self._posted.get_nowait())
            except queue.Empty:
                break
        far = conversation.pull()
        self._play(far)
        if near is None:
            conversation.advance(Samples(conversation.now + FRAME))
        else:
            conversation.feed(near, far, self._card.echo_delay)
        output = conversation.take()
        for event in output.events:
            self._outbox.put(event)
        for command in output.commands:
            self._dispatch(command)

    def _dispatch(self, command: Command) -> None:
        if isinstance(command, Answer | Abandon):
            self._outbox.put(command)
        else:
            self._workers[command.worker].put(command)

    # -- the card -------------------------------------------------------------------------------------------------
    def _near(self) -> Pcm | None:
        """The next frame; while there is no microphone None, once every 10 ms of the monotonic clock."""
        while self._input_open and not self._stop.is_set():
            try:
                frame = self._card.read(_READ_TIMEOUT_S)
                if lost := self._card.lost():
                    self._conversation.receive(SamplesLost(count=lost))
            except CardLost as error:
                self._card_failed(error)
                break
            if frame is not None:
                self._tick_at = time.monotonic()
                return frame
            self._heartbeat()
        # Never more than a second to catch up with: after a suspended machine the clock jumps, it does not race.
        self._tick_at = max(self._tick_at + _FRAME_S, time.monotonic() - 1.0)
        self._stop.wait(max(0.0, self._tick_at - time.monotonic()))
        return None

    def _play(self, far: Pcm) -> None:
        if not self._card_open:
            return
        try:
            self._card.write(far)
        except CardLost as error:
            self._card_failed(error)

    def _settle_card(self) -> None:
        """Make the card what the microphone region says: closed while muted, sought while lost."""
        microphone = self._conversation.regions.microphone
        try:
            if not self._card_open:
                if time.monotonic() >= self._retry_at:
                    name = self._card.open()
                    self._card_open = True
                    self._opened(name)
            elif microphone is Microphone.MUTED and self._input_open:
                self._card.close_input()
                self._input_open = False
            elif microphone is Microphone.LOST and not self._input_open:
                self._opened(self._card.open_input())
        except CardLost as error:
            self._card_failed(error)

    def _opened(self, name: str) -> None:
        self._input_open = True
        self._conversation.receive(MicrophoneOpened(device=name))

    def _card_failed(self, error: CardLost) -> None:
        log.warning("sound card: %s", error.code)
        self._card.close()
        self._card_open = self._input_open = False
        self._retry_at = time.monotonic() + _RETRY_S
        self._conversation.receive(MicrophoneLost(code=error.code))

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now >= self._beat_at:
            self._beat_at = now + _HEARTBEAT_S
            self._outbox.put(Heartbeat())
