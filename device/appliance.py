"""The appliance itself, behind either shell: answers turns, keeps alerts and calls, remembers what was not yet heard.

It knows no process, no socket to the ears and no clock but the one it is given. The live shell and the offline shell
both drive it, so what is tested offline is what runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from audio.commands import Answer
from audio.events import (
    AlertCleared,
    AlertRaised,
    CallDialling,
    CallEnded,
    CallLive,
    Event,
    NoticeDecided,
    ReplyCut,
    ReplyDecided,
    ReplyFinished,
    StaleDropped,
    TurnEnded,
    TurnStarted,
    VolumeSet,
)
from audio.frames import TurnId
from device.calls.escalation import Escalation
from device.calls.link import Destination
from device.calls.outcome import Outcome
from device.calls.policy import CallRefusal, find_destination
from device.dialog.dialog import Dialog
from device.dialog.reply import ClearAlert, PlaceCall, Reply
from device.functions.contract import FunctionError, LateResult, StoreFailed
from device.functions.store import Store
from device.functions.timer_functions import due, ringing_sentence
from device.functions.volume import LOUDEST, gain_db
from device.schedule import WakeSchedule

log = logging.getLogger("wakeline.app")

SESSION = "voice"
LATE_SENTENCE = "What you asked for is done now."
"""For a function that has no sentence of its own."""
RING_LIMIT = timedelta(minutes=10)
_STOP_WORDS = ("stop", "cancel", "okay", "thanks")


class Appliance:
    """One per device; owned by the loop of its shell."""

    def __init__(
        self,
        dialog: Dialog,
        store: Store,
        escalation: Escalation,
        destinations: Mapping[str, Destination],
        clock: Callable[[], datetime],
        schedule: WakeSchedule,
        *,
        wipe_after: timedelta = timedelta(seconds=20),
    ) -> None:
        self._dialog = dialog
        self._store = store
        self._escalation = escalation
        self._destinations = destinations
        self._clock = clock
        self._schedule = schedule
        self._volume = LOUDEST
        self._wipe_after = wipe_after
        self._wipe_at: datetime | None = None
        """When the talk is forgotten, if nobody speaks before."""
        self._ringing: dict[str, AlertRaised] = {}
        self._call: CallDialling | CallLive | None = None
        self._committed: dict[TurnId, Reply] = {}
        """Committed results on their way to the ear, by turn."""
        self._untold: dict[str, NoticeDecided] = {}
        """Notices on their way to the ear, by reply."""
        self._late: set[str] = set()
        """Those of them that are results of calls which were answered "still working"."""

    # -- turns ----------------------------------------------------------------------------------------------------
    async def answer(self, command: Answer) -> tuple[list[Event], PlaceCall | None]:
        """What the user is told, and a call that is to be placed (`place`). Never raises: a failure is a sentence."""
        try:
            reply = await self._dialog.answer(
                command.text,
                command.confidence,
                SESSION,
                f"turn-{command.turn}",
                ringing=tuple(self._ringing),
            )
        except FunctionError as error:
            log.error("turn %d: %s", command.turn, error.code)
            reply = Reply(f"turn-{command.turn}", error.sentence, error.code)
        events: list[Event] = []
        call = None
        for effect in reply.effects:
            match effect:
                case ClearAlert():
                    events += self._clear(effect.alert)
                case PlaceCall():
                    call = effect
        if reply.committed:
            self._committed[command.turn] = reply
        events.append(
            ReplyDecided(
                turn=command.turn,
                reply=reply.id,
                text=reply.text,
                phrases=reply.phrases,
                follow_up=reply.follow_up,
                interruptible=reply.interruptible,
            )
        )
        return events, call

    def observe(self, event: Event) -> list[Event]:
        """Every event of the loop, as it happens; returns what is to be said because of it."""
        match event:
            case TurnStarted():
                self._wipe_at = None
            case TurnEnded():
                self._wipe_at = self._clock() + self._wipe_after
        match event:
            case TurnEnded(outcome="failed") | ReplyCut(heard="") | StaleDropped(kind="ReplyDecided"):
                # Its voice failed, it was cut before a word of it, or its turn was over before the answer.
                return self.again(event.turn)
            case ReplyFinished() | ReplyCut():
                self._committed.pop(event.turn, None)
                self._untold.pop(event.reply, None)
                self._dialog.heard(event.reply, event.heard)
                self._remember(event.reply)
        return []

    def again(self, turn: TurnId) -> list[Event]:
        """Nobody heard the answer: what was committed is told all the same, once no turn is under way."""
        reply = self._committed.pop(turn, None)
        return [] if reply is None else [NoticeDecided(reply=reply.id, text=reply.text)]

    def late(self, late: LateResult) -> NoticeDecided:
        """A result that took longer than its budget: told once no turn is under way, and kept until it was heard."""
        self._late.add(late.call.id)
        return self._tell(late.call.id, late.result.sentence or LATE_SENTENCE)

    # -- calls ----------------------------------------------------------------------------------------------------
    async def place(self, wanted: PlaceCall) -> NoticeDecided:
        """Place the call and stay with it to its end; its progress goes to the escalation's `notify`."""
        try:
            destination = self.destination(wanted.destination)
        except CallRefusal as refusal:
            return self._tell("call", refusal.sentence)
        return self._told(await self.escalate(destination, wanted.reason))

    def destination(self, name: str) -> Destination:
        """By the name people say; raises `CallRefusal`."""
        return find_destination(list(self._destinations.values()), name)

    async def escalate(self, destination: Destination, reason: str) -> Outcome:
        """One attempt; returns when its outcome is known and recorded."""
        return await self._escalation.place(destination, reason)

    async def resume_calls(self) -> list[NoticeDecided]:
        """After a restart of the app: what became of calls that were under way."""
        try:
            return [self._told(outcome) for outcome in await self._escalation.resume()]
        except StoreFailed as failure:
            self._fail("calls cannot be resumed", failure)
        except CallRefusal as refusal:
            log.error("calls cannot be resumed: %s", refusal.code)
        return []

    def _told(self, outcome: Outcome) -> NoticeDecided:
        log.info("call %s over %s: %s", outcome.call or "none", outcome.link, outcome.code)
        return self._tell(f"call-{outcome.call}", outcome.sentence)

    def _tell(self, reply: str, text: str) -> NoticeDecided:
        self._untold[reply] = NoticeDecided(reply=reply, text=text)
        return self._untold[reply]

    def call_changed(self, event: Event) -> None:
        """Keep the truth about the call, for new ears."""
        match event:
            case CallDialling() | CallLive():
                self._call = event
            case CallEnded():
                self._call = None

    # -- alerts ---------------------------------------------------------------------------------------------------
    def due(self) -> list[Event]:
        """What begins to ring now (said first, then rung until it is stopped), and wake words whose hours begin.

        Forgets a talk that is over, too: the next person shall not hear of it.
        """
        if self._wipe_at is not None and self._clock() >= self._wipe_at:
            self._wipe_at = None
            self._dialog.forget(SESSION)
        events: list[Event] = []
        if (words := self._schedule.changed(self._clock())) is not None:
            events.append(words)
        try:
            events += self._volume_changed()
            timers = due(self._store, self._clock())
        except StoreFailed as failure:
            self._fail("timers cannot be read", failure)
            return events
        for timer in timers:
            alert = f"timer-{timer.id}"
            if alert in self._ringing and self._clock() - timer.ends > RING_LIMIT:
                events += self._clear(alert)  # Nobody is there: it was said, and it does not ring for days.
            elif alert not in self._ringing:
                self._ringing[alert] = AlertRaised(alert=alert, kind="timer", phrases=_STOP_WORDS)
                events += [self._tell(alert, ringing_sentence(timer)), self._ringing[alert]]
        return events

    def _volume_changed(self) -> list[Event]:
        """What somebody has said about it, since the ears were told."""
        with self._store.reading() as store:
            level = store.setting("volume", LOUDEST)
        if level == self._volume:
            return []
        self._volume = level
        return [VolumeSet(gain_db=gain_db(level))]

    def _clear(self, alert: str) -> list[Event]:
        self._ringing.pop(alert, None)
        self._untold.pop(alert, None)
        try:
            self._store.stop_timer(int(alert.removeprefix("timer-")))
        except StoreFailed as failure:
            self._fail("a timer cannot be stopped", failure)
        return [AlertCleared(alert=alert)]

    # -- memory ---------------------------------------------------------------------------------------------------
    def seed(self) -> list[Event]:
        """What new ears must know: what rings, which call there is, and what was committed and never heard."""
        seeds: list[Event] = [self._schedule.at(self._clock()), *self._ringing.values()]
        self._volume = LOUDEST  # as new ears have it; the next tick tells them otherwise
        if self._call is not None:
            seeds.append(self._call)
        self._committed.clear()
        seeds += self._untold.values()
        try:
            seeds += [
                NoticeDecided(reply=waiting.reply, text=waiting.text)
                for waiting in self._store.unheard()
                if waiting.reply not in self._untold
            ]
        except StoreFailed as failure:
            self._fail("unheard results cannot be read", failure)
        return seeds

    def _remember(self, reply: str) -> None:
        """It was heard: all that functions committed for this reply need not be said again."""
        try:
            for waiting in self._store.unheard():
                if waiting.reply == reply or waiting.reply.startswith(f"{reply}:"):
                    self._store.mark_heard(waiting.reply, self._clock())
            if reply in self._late:
                with self._store.transaction() as store:
                    store.mark_delivered(reply)
                self._late.discard(reply)
        except StoreFailed as failure:
            self._fail("heard results cannot be noted", failure)

    def _fail(self, what: str, failure: StoreFailed) -> None:
        log.error("%s: %s", what, failure.code)
