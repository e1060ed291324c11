"""The live shell's heart: one thread that owns the core and moves one frame of each end every 10 ms."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from concurrent.futures import Future
from typing import Protocol, TypeVar

from audio.commands import Abandon, Answer, Command
from audio.conversation import Conversation
from audio.devices import Device, SoundCardError
from audio.events import EarsReady, Event, MicrophoneLost, MicrophoneOpened, ReplyCut, SamplesLost
from audio.frames import FRAME, RATE, Pcm, Samples, silence
from audio.turn import Microphone, Turn
from audio.wire import Heartbeat, Outbox
from audio.workers import WorkerThread

log = logging.getLogger("wakeline.audio.pump")

_FRAME_S = FRAME / RATE
_READ_TIMEOUT_S = 0.2
_RETRY_S = 2.0
_HEARTBEAT_S = 0.5
_SLOW_S = 3.0
"""A card that has not answered for so long: the app is told that the ears are there."""
_STUCK_S = 20.0
"""... and for so long: only a new process gets rid of it."""
T = TypeVar("T")


class CardStuck(Exception):
    """A call into the sound system does not come back; its thread is lost, and with it this process."""


class Card(Protocol):
    """An open sound card as the pump sees it (`audio.portaudio.SoundCard`); every method may raise `SoundCardError`."""

    @property
    def devices(self) -> tuple[Device | None, Device | None]:
        """The open input and output."""
        ...

    @property
    def echo_delay(self) -> int:
        """Samples between writing a far frame and reading its echo."""
        ...

    def open_input(self) -> None: ...
    def close_input(self) -> None: ...
    def read(self, timeout: float) -> Pcm | None:
        """One frame of the near end, or None when none came in time."""
        ...

    def write(self, frame: Pcm) -> None:
        """One frame of the far end; never blocks."""
        ...

    def flush_output(self) -> None:
        """Silence at once."""
        ...

    def lost(self) -> int:
        """Samples dropped since the last call."""
        ...

    def close(self) -> None: ...


class Pump:
    """Sole owner of the conversation and the card. Others post events to it and read the outbox."""

    def __init__(
        self,
        conversation: Conversation,
        open_card: Callable[[], Card],
        workers: Mapping[str, WorkerThread],
        posted: queue.SimpleQueue[Event],
        outbox: Outbox,
    ) -> None:
        """`open_card` opens the loudspeaker alone and is called again whenever the card was lost; `posted` are events
        from other threads; a wish to be muted that waits there already is granted before the microphone opens."""
        self._conversation = conversation
        self._open_card = open_card
        self._card: Card | None = None
        self._workers = workers
        self._outbox = outbox
        self._posted = posted
        self._stop = threading.Event()
        self._input_open = False
        self._announced: str | None = None
        """Code of the loss that was told last."""
        self._retry_at = 0.0
        self._beat_at = 0.0
        self._tick_at = 0.0
        self._ready_by: float | None = None
        """By then the app is told that we are there, card or no card; None when it has been."""

    def stop(self) -> None:
        """From any thread."""
        self._stop.set()

    def run(self) -> None:
        """Until stopped. A lost card is an event, never an end.

        Raises:
            CardStuck: the sound system does not answer any more.
        """
        self._tick_at = time.monotonic()
        self._ready_by = self._tick_at + _SLOW_S
        self._receive()
        self._settle_card()
        self._say_ready()
        try:
            while not self._stop.is_set():
                self._settle_card()
                near = self._near()
                self._receive()
                if near is not None or not self._input_open:
                    self._move(near)
                self._send()
                self._heartbeat()
        finally:
            self._close_card()

    def _receive(self) -> None:
        while True:
            try:
                self._conversation.receive(self._posted.get_nowait())
            except queue.Empty:
                return

    def _move(self, near: Pcm | None) -> None:
        """One frame of each end. Without a loudspeaker nothing is pulled: what nobody can hear waits for one."""
        conversation = self._conversation
        far = silence(FRAME)
        if self._card is not None:
            far = conversation.pull()
            self._play(far)
        if near is None:
            conversation.advance(Samples(conversation.now + FRAME))
        else:
            conversation.feed(near, far, self._card.echo_delay if self._card else 0)

    def _send(self) -> None:
        output = self._conversation.take()
        for event in output.events:
            if isinstance(event, ReplyCut) and self._card is not None:
                self._card.flush_output()  # What the card still holds of the reply is not heard any more either.
            self._outbox.put(event)
        for command in output.commands:
            self._dispatch(command)

    def _dispatch(self, command: Command) -> None:
        if isinstance(command, Answer | Abandon):
            self._outbox.put(command)
        else:
            self._workers[command.worker].put(command)

    def _say_ready(self) -> None:
        if self._ready_by is not None:
            self._ready_by = None
            self._outbox.put(EarsReady(hearing=self._conversation.regions.hearing))

    # -- the card -------------------------------------------------------------------------------------------------
    def _near(self) -> Pcm | None:
        """The next frame, or None when the card had none in time; without a microphone None once every 10 ms."""
        if self._card is not None and self._input_open:
            try:
                frame = self._card.read(_READ_TIMEOUT_S)
                if lost := self._card.lost():
                    self._conversation.receive(SamplesLost(count=lost))
            except SoundCardError as error:
                self._card_failed(error)
            else:
                self._tick_at = time.monotonic()
                return frame
        self._stop.wait(self._until_tick())
        return None

    def _until_tick(self) -> float:
        """Seconds until the clock moves on by a frame although the card gave none."""
        # Never more than a second to catch up with: after a suspended machine the clock jumps, it does not race.
        self._tick_at = max(self._tick_at + _FRAME_S, time.monotonic() - 1.0)
        return max(0.0, self._tick_at - time.monotonic())

    def _patiently(self, work: Callable[[], T]) -> T:
        """Let the card take its time: drivers and sound servers hold up a call for seconds, or for good. It is made
        in a thread, while the loop goes on without a microphone."""
        done: Future[T] = Future()
        threading.Thread(target=_carry_out, args=(work, done), name="wakeline-card", daemon=True).start()
        began = self._tick_at = time.monotonic()
        while not _ended_within(done, self._until_tick()):
            now = time.monotonic()
            if now - began > _STUCK_S:
                self._card = None  # Another call beside the one that hangs would hang too.
                raise CardStuck(f"the sound system has not answered for {_STUCK_S:.0f} s")
            if self._ready_by is not None and now >= self._ready_by:
                self._say_ready()
            self._receive()
            self._move(None)
            self._send()
            self._heartbeat()
        return done.result()

    def _play(self, far: Pcm) -> None:
        if self._card is None:
            return
        try:
            self._card.write(far)
        except SoundCardError as error:
            self._card_failed(error)

    def _settle_card(self) -> None:
        """Make the card what the microphone region says: closed while muted, sought while lost."""
        microphone = self._conversation.regions.microphone
        try:
            if microphone is Microphone.MUTED and self._card is not None and self._input_open:
                self._input_open = False
                self._patiently(self._card.close_input)
            if self._card is None and time.monotonic() >= self._retry_at:
                self._card = self._patiently(self._open_card)
            if microphone is Microphone.LOST and self._card is not None and time.monotonic() >= self._retry_at:
                self._seek_input(self._card)
        except SoundCardError as error:
            self._card_failed(error)

    def _seek_input(self, card: Card) -> None:
        """Open the microphone. Without one the loudspeaker goes on: what is to be said is said."""
        try:
            self._patiently(card.open_input)
        except SoundCardError as error:
            self._retry_at = time.monotonic() + _RETRY_S
            self._lost(error)
            if self._conversation.state in (Turn.IDLE, Turn.FOLLOW_UP):
                self._close_card()  # A device that has come since is seen only when nothing is open.
            return
        self._input_open = True
        self._announced = None
        microphone, _ = card.devices
        self._conversation.receive(MicrophoneOpened(device=microphone.name if microphone else ""))

    def _card_failed(self, error: SoundCardError) -> None:
        self._lost(error)
        self._close_card()
        self._retry_at = time.monotonic() + _RETRY_S

    def _lost(self, error: SoundCardError) -> None:
        """Say it once, not at every attempt."""
        if self._announced != error.code:
            self._announced = error.code
            log.warning("sound card: %s: %s", error.code, error)
            self._conversation.receive(MicrophoneLost(code=error.code))

    def _close_card(self) -> None:
        card, self._card = self._card, None
        self._input_open = False
        if card is not None:
            self._patiently(card.close)

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now >= self._beat_at:
            self._beat_at = now + _HEARTBEAT_S
            self._outbox.put(Heartbeat())


def _carry_out(work: Callable[[], T], done: Future[T]) -> None:
    """Thread body: the result or the error of `work` into `done`."""
    try:
        done.set_result(work())
    except Exception as error:  # Any of them: `result` raises it where it was asked for.
        done.set_exception(error)


def _ended_within(done: Future[T], seconds: float) -> bool:
    return bool(futures.wait([done], seconds).done)
