"""The live shell: keeps the ears alive, carries events between them and the appliance, answers the control socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import traceback
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from audio.commands import Abandon, Answer
from audio.events import (
    EarsReady,
    EngineFailed,
    Event,
    MicrophoneLost,
    MicrophoneMuted,
    MicrophoneOpened,
    MicrophoneUnmuted,
    MuteRequested,
    NoticeDecided,
    Pressed,
    Released,
    ReplyDecided,
    SamplesLost,
)
from audio.frames import RATE
from audio.turn import Microphone
from audio.wire import EarsConfig, Heartbeat, Message, StopEars
from device.app import KEPT_DAYS, House, ears_config
from device.bridge import EarsProcess
from device.button import Key, TalkKey, TerminalKeys
from device.config import Config
from device.control import ControlError, ControlServer
from device.dialog.reply import PlaceCall
from device.functions.contract import StoreFailed
from device.record import Record
from device.view import View
from device.watchdog import Notifier
from models.engines import EngineUnavailable, ModelUnavailable

if TYPE_CHECKING:
    from device.web.assembly import Web

log = logging.getLogger("wakeline.live")

MOST_FAILURES = 8
"""Ears that end so often without once being ready are not going to be: the service manager shall try."""
_BACK_OFF_S = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)
_TICK_S = 0.2
HOPELESS = frozenset({EngineUnavailable.code, ModelUnavailable.code})
"""Ears that cannot begin for want of these do not find them at the next attempt."""
EXIT_FAULT = 2
_VOICE_FIRST_S = 20.0
_DAY_S = 86_400.0
_STATUS = {
    Microphone.OPEN: "listening",
    Microphone.MUTED: "muted",
    Microphone.LOST: "no microphone",
}


class Live:
    """The running appliance; `call_changed` may be called only while `run` runs."""

    _house: House
    _web: Web | None

    def __init__(
        self,
        config: Config,
        view: View,
        record: Record | None,
        notifier: Notifier,
    ) -> None:
        self._config = config
        self._view = view
        self._record = record
        self._notifier = notifier
        self._ears: EarsProcess | None = None
        self._epoch = 0
        self._microphone = Microphone.LOST
        self._ready = False
        self._start_failed = ""
        """Code of why the engines of the present ears did not start."""
        self._mute_mark = config.paths.state_dir / "muted"
        """There while the microphone is wanted closed: a restart does not open it."""
        self._mute = self._mute_mark.exists()
        """The wish; `_microphone` is what the present ears have said."""
        self._samples_lost = 0
        """Heard by the card and dropped before we had them, since the start."""
        self._up = asyncio.Event()
        """Set once ears have been ready."""
        self._stopping = asyncio.Event()
        self._talk = TalkKey()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- life -----------------------------------------------------------------------------------------------------
    async def run(self, house: House, web: Web | None = None) -> int:
        """Until SIGINT, SIGTERM or ears that never come up; returns the exit status."""
        self._house = house
        self._web = web
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        async with ControlServer(self._config.paths.runtime_dir / "control", self._control):
            self._notifier.ready("starting")
            ears = asyncio.create_task(self._keep_ears(), name="wakeline-ears")
            works = (self._tick(), self._prune(), self._feed_watchdog(), self._keys(), self._resume_calls())
            for work in (*works, house.runner.resume(), self._late_results(), self._serve_web()):
                self._background(work)
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({ears, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._stopping.set()
            self._notifier.stopping("stopping")
            status = await ears
            for task in [*self._tasks, stopping]:
                task.cancel()
            await asyncio.gather(*self._tasks, stopping, return_exceptions=True)
        return status

    async def _keep_ears(self) -> int:
        failures = 0
        while not self._stopping.is_set():
            self._ready, self._start_failed = False, ""
            self._ears = ears = await EarsProcess.start(self._ears_config())
            stop = asyncio.create_task(self._stop_with(ears))
            async for message in ears.messages():
                self._take(ears, message)
            self._ears = None
            self._microphone = Microphone.LOST
            if self._stopping.is_set():
                await stop
                return 0
            stop.cancel()
            status = await ears.reap()
            failures = 1 if self._ready else failures + 1
            log.error("the ears of epoch %d ended with status %d", ears.epoch, status)
            if self._start_failed in HOPELESS and not self._up.is_set():
                return EXIT_FAULT
            self._view.note("the ears ended; starting them again")
            self._notifier.status("the ears are being started again")
            if failures >= MOST_FAILURES:
                return 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _BACK_OFF_S[min(failures - 1, len(_BACK_OFF_S) - 1)])
        return 0

    async def _stop_with(self, ears: EarsProcess) -> None:
        await self._stopping.wait()
        await ears.stop()

    def _ears_config(self) -> EarsConfig:
        try:
            self._epoch = max(self._epoch + 1, self._house.store.next_epoch())
        except StoreFailed as failure:
            self._epoch += 1
            log.error("the epoch cannot be kept: %s", failure.code)
        ears = ears_config(self._config, self._epoch)
        return replace(ears, muted=self._mute, usual=self._house.dialog.usual)

    # -- what the ears say ----------------------------------------------------------------------------------------
    def _take(self, ears: EarsProcess, message: Message) -> None:
        match message:
            case Heartbeat() | EarsConfig() | StopEars() | Abandon():
                pass
            case Answer():
                self._background(self._answer(ears, message))
            case _:
                self._happened(ears, message)

    def _happened(self, ears: EarsProcess, event: Event) -> None:
        if self._record is not None:
            self._record.write(ears.epoch, event)
        self._talk.see(event)
        self._view.show(event)
        match event:
            case EarsReady():
                self._ready = True
                self._up.set()
                self._seed(ears)
            case MicrophoneOpened() | MicrophoneUnmuted():
                self._heard_of(Microphone.OPEN if isinstance(event, MicrophoneOpened) else Microphone.LOST)
            case MicrophoneMuted():
                self._heard_of(Microphone.MUTED)
            case EngineFailed(engine="start"):
                self._start_failed = event.code
            case SamplesLost():
                self._samples_lost += event.count
            case MicrophoneLost() if self._microphone is not Microphone.MUTED:
                self._heard_of(Microphone.LOST)
        for follow in self._house.appliance.observe(event):
            ears.send(follow)

    def _heard_of(self, microphone: Microphone) -> None:
        self._microphone = microphone
        self._notifier.status(_STATUS[microphone])

    def _seed(self, ears: EarsProcess) -> None:
        ears.send(MuteRequested(muted=self._mute))  # It may have changed since they were configured.
        self._notifier.status(_STATUS[self._microphone])
        for event in self._house.appliance.seed():
            ears.send(event)

    async def _answer(self, ears: EarsProcess, command: Answer) -> None:
        events, call = await self._house.appliance.answer(command)
        if ears is not self._ears:  # They have ended: newer ones know nothing of the turn.
            events = [event for event in events if not isinstance(event, ReplyDecided)]
            events += self._house.appliance.again(command.turn)
        for event in events:
            self.send(event)
        if call is not None:
            self._background(self._place(call))

    # -- what the appliance does of its own accord ----------------------------------------------------------------
    def send(self, event: Event) -> None:
        """To the ears of the present epoch, if there are any."""
        if self._ears is not None and self._ready:
            self._ears.send(event)

    def call_changed(self, event: Event) -> None:
        """The escalation's `notify`."""
        self._house.appliance.call_changed(event)
        self.send(event)

    def _want_mute(self, muted: bool) -> None:
        self._mute = muted
        self.send(MuteRequested(muted=muted))
        try:
            if muted:
                self._mute_mark.touch()
            else:
                self._mute_mark.unlink(missing_ok=True)
        except OSError as error:
            log.error("the wish to be muted cannot be kept over a restart: %s", error.strerror)

    async def _place(self, call: PlaceCall) -> None:
        self._tell(await self._house.appliance.place(call))

    async def _resume_calls(self) -> None:
        for notice in await self._house.appliance.resume_calls():
            self._tell(notice)

    def hears(self) -> bool:
        """Are the ears there, with an open microphone?"""
        return self._ready and self._microphone is Microphone.OPEN

    async def _serve_web(self) -> None:
        """The voice comes first; but ears that do not come up are no reason to be deaf to the telephone too."""
        if self._web is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._up.wait(), _VOICE_FIRST_S)
            await self._web.serve()

    async def _late_results(self) -> None:
        """What took longer than its budget, of this start and the one before: to whoever asked for it."""
        async for late in self._house.runner.late():
            if late.call.origin == "voice":
                self._tell(self._house.appliance.late(late))
            elif self._web is not None:
                self._web.tell(late)

    def _tell(self, notice: NoticeDecided) -> None:
        self.send(notice)

    async def _tick(self) -> None:
        while True:
            for event in self._house.appliance.due():
                self.send(event)
            await asyncio.sleep(_TICK_S)

    async def _prune(self) -> None:
        """What is old is forgotten, also by an appliance that runs for months."""
        while True:
            await asyncio.sleep(_DAY_S)
            try:
                self._house.store.prune(datetime.now(UTC) - timedelta(days=KEPT_DAYS))
            except StoreFailed as failure:
                log.error("the store cannot be pruned: %s", failure.code)

    async def _feed_watchdog(self) -> None:
        """From this loop: a loop that hangs is ended. The ears are watched by their silence."""
        while (every := self._notifier.feed_every_s) is not None:
            self._notifier.feed()
            await asyncio.sleep(every)

    async def _keys(self) -> None:
        async for key in TerminalKeys().hits():
            match key:
                case Key.TALK:
                    self.send(self._talk.pressed())
                case Key.MUTE:
                    self._want_mute(not self._mute)
                case Key.QUIT:
                    self._stopping.set()

    # -- the control socket ---------------------------------------------------------------------------------------
    async def _control(self, request: dict[str, Any]) -> dict[str, Any]:
        match request.get("do"):
            case "press" | "release" | "say" if not self._ready:
                raise ControlError("starting")
            case "press":
                self.send(Pressed(source="control"))
            case "release":
                self.send(Released(source="control"))
            case "mute" | "unmute" as wish:
                self._want_mute(wish == "mute")
            case "say" if isinstance(request.get("text"), str):
                self.send(NoticeDecided(reply="say", text=request["text"]))
            case "call" if isinstance(request.get("destination"), str):
                self._background(self._place(PlaceCall(request["destination"], "asked-for")))
            case "status":
                pass
            case _:
                raise ControlError("bad-request")
        return {
            "state": _STATUS[self._microphone] if self._ready else "starting",
            "epoch": self._epoch,
            "ears": self._ears.pid if self._ears else None,
            "lost_ms": self._samples_lost * 1000 // RATE,
            **(self._web.status() if self._web is not None else {}),
        }

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        """Keep a reference until it is done; what goes wrong in it is our mistake and is logged as such."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Not the text of the error: it may hold a person's words.
            where = traceback.extract_tb(error.__traceback__)[-1]
            log.error("a task failed: %s in %s:%d", type(error).__name__, where.filename, where.lineno or 0)
